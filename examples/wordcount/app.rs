//! The program: the topology, the feed, the answer.

mod feed;
mod progress;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use headwater::client::NewTopic;
use headwater::prelude::*;
use headwater::streams::{BoxError, Streams};
use headwater::{ErrorKind, Result};

use feed::Feed;
use progress::Progress;

const USAGE: &str = "usage: wordcount [--data DIR] [--all] [FILE|-]
A file that has grown is read on where it ended: end it with a line end before, or the word that \
stood there counts as two.";

/// The text that is counted when none is named: the beginning of the King James Bible.
const BUNDLED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/examples/data/kjv-beginning.txt"
);

/// What the command line says.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    /// The data folder.
    pub(crate) data: PathBuf,
    /// Whether every word is printed, and nothing else.
    pub(crate) all: bool,
    /// The file to read; none is standard input.
    pub(crate) file: Option<PathBuf>,
}

impl Arguments {
    /// Reads a command line.
    pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Self, BoxError> {
        let mut parsed = Self {
            data: PathBuf::from("headwater-data/wordcount"),
            all: false,
            file: Some(PathBuf::from(BUNDLED)),
        };
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                Some("--all") => parsed.all = true,
                Some("--data") => parsed.data = arguments.next().ok_or(USAGE)?.into(),
                Some("-") if arguments.peek().is_none() => parsed.file = None,
                Some(option) if option.starts_with('-') => return Err(USAGE.into()),
                _ if arguments.peek().is_none() => parsed.file = Some(argument.into()),
                _ => return Err(USAGE.into()),
            }
        }
        Ok(parsed)
    }
}

/// Lines in, words counted, changes out.
pub(crate) fn topology() -> Result<Topology> {
    let builder = StreamsBuilder::new();
    builder
        .stream::<(), [u8]>("text")
        .flat_map_values(words)
        .group_by_ref(|_, word| word)
        .count("word-counts")
        .to_stream()
        .to("counts");
    builder.build()
}

/// A word is a run of ASCII letters, in lower case. `emit` lends, so one buffer serves all.
fn words(line: &[u8], out: &mut Emit<'_, str>) {
    let mut word = String::with_capacity(32);
    for run in line.split(|byte| !byte.is_ascii_alphabetic()) {
        if let (false, Ok(run)) = (run.is_empty(), std::str::from_utf8(run)) {
            word.clear();
            word.push_str(run);
            word.make_ascii_lowercase();
            out.emit(&word);
        }
    }
}

/// Feeds the text, waits until all of it is counted, prints the answer.
pub(crate) async fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), BoxError> {
    let cluster = Cluster::open(&arguments.data).await?;
    make_topics(&cluster).await?;
    let app = Streams::new("wordcount", topology()?)
        .start(&cluster)
        .await?;
    let progress = Progress::start(app.records_processed_counter());
    let counted = async {
        let feed = Feed::open(&cluster).await?;
        match &arguments.file {
            Some(file) => feed.file(file, &progress).await?,
            None => feed.stdin(&progress).await?,
        }
        app.caught_up().await?;
        let store = app.store::<str, u64>("word-counts")?;
        Ok::<_, BoxError>(store.all().await?)
    };
    // Standard input may block, so that only its end or a kill ends the program then.
    let counts: Result<Option<_>, BoxError> = if arguments.file.is_some() {
        tokio::select! {
            counts = counted => counts.map(Some),
            _ = tokio::signal::ctrl_c() => Ok(None),
        }
    } else {
        counted.await.map(Some)
    };
    progress.finish().await;
    let closed = app.close().await;
    let counts = counts?;
    closed?;
    cluster.close().await?;
    let Some(counts) = counts else { return Ok(()) };
    match print(counts, arguments.all, out) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

async fn make_topics(cluster: &Cluster) -> Result<()> {
    let topic = |name: &str, policy: &str, retention: &str| -> Result<NewTopic> {
        let configs = [("cleanup.policy", policy), ("retention.ms", retention)];
        Ok(NewTopic {
            name: TopicName::new(name)?,
            partitions: Some(1),
            configs: (configs.into_iter())
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        })
    };
    let topics = vec![
        topic("text", "delete", "-1")?,
        topic("counts", "compact", "-1")?,
        topic(feed::CHECKPOINTS, "compact", "-1")?,
    ];
    for made in cluster.admin().create_topics(topics).await? {
        match made {
            Err(error) if error.kind() != ErrorKind::TopicAlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn print(
    mut counts: Vec<(String, u64, Timestamp)>,
    all: bool,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(out);
    if all {
        for (word, count, _) in counts {
            writeln!(out, "{word}\t{count}")?;
        }
        return out.flush();
    }
    let total: u64 = counts.iter().map(|(_, count, _)| count).sum();
    let distinct = counts.len();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    writeln!(out, "{total} words, {distinct} of them different")?;
    for (word, count, _) in counts.iter().take(20) {
        writeln!(out, "{count:>9}  {word}")?;
    }
    out.flush()
}

/// Says on standard error what went wrong.
pub(crate) fn complain(message: &str) {
    // There is nowhere left to say that this failed.
    drop(writeln!(std::io::stderr(), "wordcount: {message}"));
}
