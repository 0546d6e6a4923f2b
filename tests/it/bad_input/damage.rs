//! Every file of a data folder flipped, cut and removed at every position.
//!
//! The folder then opens with all that was acknowledged, or somebody is told where it is damaged:
//! whoever opens it, or whoever reads what is gone.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use headwater::env::Simulation;
use headwater::prelude::*;
use headwater::{Error, ErrorKind};

use super::world::{Files, Values, batch, copy_of, fill, open, produce, read, read_at, storage_of};

/// How a process left its folder.
#[derive(Clone, Copy, Debug)]
enum End {
    Closed,
    Killed,
}

/// A folder with acknowledged records in every kind of file.
fn folder(end: End) -> (Files, Values) {
    let simulation = Simulation::new(11);
    let storage = storage_of(&Files::new());
    let (cluster, values) = simulation
        .block_on(async {
            let cluster = open(&simulation, Arc::clone(&storage)).await.unwrap();
            let values = fill(&simulation, &cluster).await;
            if matches!(end, End::Closed) {
                cluster.close().await.unwrap();
            }
            (cluster, values)
        })
        .unwrap();
    let files = copy_of(&*storage);
    simulation.crash();
    drop(cluster);
    (files, values)
}

/// How a damaged folder was met; the error says what is wrong with that.
fn verdict(files: &Files, values: &Values) -> Result<&'static str, String> {
    let simulation = Simulation::new(5);
    let storage = storage_of(files);
    let outcome = simulation.block_on(async {
        let cluster = match open(&simulation, Arc::clone(&storage)).await {
            Ok(cluster) => cluster,
            Err(error) => return told(&error).map(|()| "told at open"),
        };
        if !check(&cluster, values).await? {
            return Ok("told at read");
        }
        // What is whole stays so when it is written on.
        let mut more = values.clone();
        for (partition, values) in &mut more {
            values.push("more".to_owned());
            let batch = batch(&values[values.len() - 1..], 3_000, None);
            let produced = produce(&cluster, partition.clone(), batch).await;
            produced.map_err(|error| error.to_string())?;
        }
        cluster.close().await.map_err(|error| error.to_string())?;
        let again = open(&simulation, storage).await;
        let again = again.map_err(|error| error.to_string())?;
        match check(&again, &more).await? {
            true => Ok("whole"),
            false => Err("damaged by writing on".to_owned()),
        }
    });
    simulation.crash();
    outcome.map_err(|stuck| stuck.to_string())?
}

/// Whether a cluster has these records, wherever one begins to read. What it does not have is an
/// error that tells where.
async fn check(cluster: &Cluster, values: &Values) -> Result<bool, String> {
    let mut whole = true;
    for (partition, expect) in values {
        for (at, expect) in expect.iter().enumerate().step_by(11) {
            match read_at(cluster, partition, at).await {
                Ok(Some(found)) if found == *expect => {}
                Ok(found) => return Err(format!("{partition} at {at}: {found:?}")),
                Err(error) => told(&error).map(|()| whole = false)?,
            }
        }
        match read(cluster, partition).await {
            Ok(Some(found)) if found == *expect => {}
            Ok(found) => {
                let count = found.map(|found| found.len());
                return Err(format!("{partition}: {count:?} of {}", expect.len()));
            }
            Err(error) => told(&error).map(|()| whole = false)?,
        }
        // Every third round writes to all partitions; its time finds its first record.
        let at = expect.iter().position(|value| value.contains(" 12.0 "));
        let wanted = OffsetSpec::Timestamp(Timestamp(1_120));
        match cluster.admin().list_offset(partition, wanted).await {
            Ok(found) if usize::try_from(found.offset.value()).ok() == at => {}
            Ok(found) => return Err(format!("{partition}: {found:?} for the time, not {at:?}")),
            Err(error) => told(&error).map(|()| whole = false)?,
        }
    }
    Ok(whole)
}

fn told(error: &Error) -> Result<(), String> {
    let kind = matches!(
        error.kind(),
        ErrorKind::CorruptMessage | ErrorKind::UnsupportedFormat | ErrorKind::Io
    );
    let place = error.file().is_some() || error.topic_partition().is_some();
    if kind && place {
        Ok(())
    } else {
        Err(format!("an error that does not tell: {error}"))
    }
}

fn damage_all(end: End) {
    let (files, values) = folder(end);
    verdict(&files, &values).unwrap();
    let mut faults = Vec::new();
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    for (path, bytes) in &files {
        let Some(bytes) = bytes else { continue };
        let mut check = |what: &'static str, at: usize, damaged: Option<Vec<u8>>| {
            let mut files = files.clone();
            match damaged {
                Some(damaged) => files.insert(path.clone(), Some(damaged)),
                None => files.remove(path),
            };
            let met = std::panic::catch_unwind(|| verdict(&files, &values));
            match met {
                Ok(Ok(outcome)) => *outcomes.entry(outcome).or_default() += 1,
                Ok(Err(fault)) => faults.push(format!("{} {what} {at}: {fault}", path.display())),
                Err(_) => faults.push(format!("{} {what} {at}: PANIC", path.display())),
            }
        };
        check("removed", 0, None);
        for at in (0..bytes.len()).step_by(step(path)) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            check("flipped", at, Some(flipped));
            check("cut", at, Some(bytes[..at].to_vec()));
        }
    }
    assert!(faults.is_empty(), "{end:?}:\n{}", faults.join("\n"));
    // The three ways of meeting damage are all there, or the damage missed something.
    assert!(outcomes.len() == 3, "{end:?}: {outcomes:?}");
}

/// Positions lie this far apart: coprime with the sizes of index entries and headers, so that
/// all of their fields are met.
fn step(path: &Path) -> usize {
    let journal = path.parent().is_some_and(|dir| dir.ends_with("journal"));
    if journal { 499 } else { 23 }
}

#[test]
fn a_closed_folder_survives_or_tells() {
    damage_all(End::Closed);
}

#[test]
fn a_killed_folder_survives_or_tells() {
    damage_all(End::Killed);
}
