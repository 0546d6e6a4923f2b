//! `examples/wordcount`: its totals, and what a second run, a grown file and another file add.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "../../examples/wordcount/app.rs"]
mod app;

const BOOK: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/examples/data/kjv-beginning.txt"
);

/// Runs the program over a data folder and returns what it printed.
async fn run(data: &Path, file: &Path, all: bool) -> String {
    let arguments = app::Arguments {
        data: data.to_owned(),
        all,
        file: Some(file.to_owned()),
    };
    let mut out = Vec::new();
    app::run(&arguments, &mut out).await.unwrap();
    String::from_utf8(out).unwrap()
}

/// The totals of some texts, counted without the program.
fn count(texts: &[&str]) -> String {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for text in texts {
        for word in text.split(|c: char| !c.is_ascii_alphabetic()) {
            if !word.is_empty() {
                *counts.entry(word.to_ascii_lowercase()).or_default() += 1;
            }
        }
    }
    let mut lines = String::new();
    for (word, count) in counts {
        writeln!(lines, "{word}\t{count}").unwrap();
    }
    lines
}

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn the_totals_of_a_book_are_those_of_uniq() {
    let folder = tempfile::tempdir().unwrap();
    let printed = run(&folder.path().join("data"), Path::new(BOOK), true).await;
    assert_eq!(printed, count(&[&std::fs::read_to_string(BOOK).unwrap()]));
    // The same from the tools of the system, where it has a shell.
    let pipeline = "tr -cs A-Za-z '\\n' <\"$1\" | tr A-Z a-z | LC_ALL=C sort | uniq -c";
    let uniq = Command::new("sh")
        .args(["-c", pipeline, "sh", BOOK])
        .output();
    let uniq = match uniq {
        Ok(uniq) => uniq,
        Err(error) => {
            println!("not compared with uniq: there is no sh: {error}");
            return;
        }
    };
    assert!(uniq.status.success(), "{uniq:?}");
    let uniq = String::from_utf8(uniq.stdout).unwrap();
    let mut expected = String::new();
    for line in uniq.lines() {
        if let Some((count, word)) = line.trim().split_once(' ') {
            writeln!(expected, "{word}\t{count}").unwrap();
        }
    }
    assert_eq!(printed, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_adds_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = "To be, or not to be\nthat is the question\n";
    let path = file(folder.path(), "play", first);
    assert_eq!(run(&data, &path, true).await, count(&[first]));
    assert_eq!(
        run(&data, &path, true).await,
        count(&[first]),
        "the same file adds nothing"
    );

    let grown = format!("{first}Whether 'tis nobler in the mind to suffer");
    file(folder.path(), "play", &grown);
    assert_eq!(
        run(&data, &path, true).await,
        count(&[&grown]),
        "its new lines"
    );

    let other = file(folder.path(), "other", first);
    assert_eq!(
        run(&data, &other, true).await,
        count(&[&grown, first]),
        "all of another file"
    );

    let new = "Call me Ishmael.\n\n\nCall me, call me\n".repeat(10);
    file(folder.path(), "play", &new);
    let expected = count(&[&grown, first, &new]);
    assert_eq!(
        run(&data, &path, true).await,
        expected,
        "another text under the same name"
    );
    assert_eq!(run(&data, &path, true).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_file_is_known_after_another_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (a, b) = ("one two\nthree\n", "two four\n");
    let (path_a, path_b) = (file(folder.path(), "a", a), file(folder.path(), "b", b));
    run(&data, &path_a, true).await;
    // An interrupted run leaves its lines, which say how far it read, and no checkpoint.
    let cluster = headwater::Cluster::open(&data).await.unwrap();
    let deleted = cluster.admin().delete_topic("wordcount-files").await;
    deleted.unwrap();
    cluster.close().await.unwrap();

    assert_eq!(run(&data, &path_b, true).await, count(&[a, b]));
    assert_eq!(run(&data, &path_a, true).await, count(&[a, b]));
    assert_eq!(run(&data, &path_b, true).await, count(&[a, b]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_that_goes_on_in_the_grown_file_counts_as_two() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    run(&data, &file(folder.path(), "text", "hello wor"), true).await;
    let path = file(folder.path(), "text", "hello world\n");
    assert_eq!(run(&data, &path, true).await, count(&["hello wor ld"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_text_has_words_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bytes");
    let mut bytes = b"caf\xe9 \x00 noir\r\n\xff\xfe".to_vec();
    let long = "very long line ".repeat(40_000);
    bytes.extend_from_slice(long.as_bytes());
    std::fs::write(&path, bytes).unwrap();
    let printed = run(&folder.path().join("data"), &path, true).await;
    assert_eq!(printed, count(&["caf noir", &long]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_twenty_most_frequent_words_come_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "text", "b a c a b a\n");
    let printed = run(&folder.path().join("data"), &path, false).await;
    let expected = "6 words, 3 of them different\n        3  a\n        2  b\n        1  c\n";
    assert_eq!(printed, expected);
}

#[test]
fn the_command_line_is_read() {
    let parse = |line: &str| app::Arguments::parse(line.split_whitespace().map(Into::into));
    let arguments = parse("--data d --all -").unwrap();
    assert_eq!(arguments.data, Path::new("d"));
    assert!(arguments.all && arguments.file.is_none());
    assert_eq!(parse("f").unwrap().file.unwrap(), Path::new("f"));
    assert_eq!(parse("").unwrap().file.unwrap(), Path::new(BOOK));
    for wrong in ["--data", "a b", "--frequency", "- x"] {
        assert!(
            parse(wrong).unwrap_err().to_string().contains("usage"),
            "{wrong}"
        );
    }
    app::complain("nothing is wrong");
}
