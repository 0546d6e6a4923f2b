//! What the log is meant to reach on a machine of two cores, and by how much it does.

use crate::fetch::{self, Way};
use crate::produce;
use crate::report::{Report, readable};
use crate::{growth, limits, open, synced};

/// A figure that a target is about, and which limit it runs into.
struct Target {
    text: &'static str,
    unit: &'static str,
    measured: Option<f64>,
    wanted: f64,
    /// Whether more is better.
    more: bool,
    binds: String,
}

/// One line for each target whose figures were measured.
pub(crate) fn lines(report: &Report) -> String {
    let mut text = String::new();
    for target in targets(report) {
        let Some(measured) = target.measured else {
            continue;
        };
        let miss = match target.more {
            true => 1.0 - measured / target.wanted,
            false => measured / target.wanted - 1.0,
        };
        let verdict = match miss <= 0.0 {
            true => "met".to_owned(),
            false => format!("missed by {:.0} %", miss * 100.0),
        };
        text += &format!(
            "  {}\n      measured {} {}, wanted {} {}: {verdict}\n      binds: {}\n",
            target.text,
            readable(measured),
            target.unit,
            readable(target.wanted),
            target.unit,
            target.binds,
        );
    }
    match text.is_empty() {
        true => text,
        false => format!("targets\n{text}"),
    }
}

fn targets(report: &Report) -> Vec<Target> {
    let rate = |name: &str| report.get(name, "records/s");
    let cpu = |name: &str| {
        let cost = report.get(name, "us CPU/record").map(readable);
        cost.map_or_else(String::new, |cost| {
            format!("the processor, {cost} us a record")
        })
    };
    let disk = |name: &str, unit: &str| {
        let limit = report.get(name, unit).map(readable);
        limit.map_or_else(
            || "the disk (run `limits` beside it)".to_owned(),
            |limit| format!("the disk, {name}: {limit} {unit}"),
        )
    };
    let worst = |name: &str| report.largest(name, "times");
    let produced = produce::name(100, 16 << 10);
    let fetched = fetch::name(100, Way::Vec);
    vec![
        Target {
            text: "records of 100 B produced, acks=1, one task, batches of 16 KiB",
            unit: "records/s",
            measured: rate(&produced),
            wanted: 3e6,
            more: true,
            binds: cpu(&produced),
        },
        Target {
            text: "records of 100 B fetched by one consumer",
            unit: "records/s",
            measured: rate(&fetched),
            wanted: 5e6,
            more: true,
            binds: cpu(&fetched),
        },
        Target {
            text: "stream of 1 MiB batches under acks=all, against sequential writes",
            unit: "%",
            measured: report.get(synced::STREAM, "% of seq. write"),
            wanted: 80.0,
            more: true,
            binds: disk(limits::SEQUENTIAL_SYNCED, "MB/s"),
        },
        Target {
            text: "batches of 16 KiB from 16 producers under acks=all",
            unit: "MB/s",
            measured: report.get(synced::MANY, "MB/s"),
            wanted: 300.0,
            more: true,
            binds: disk(limits::OVERWRITE_256, "us"),
        },
        Target {
            text: "open of 1,000 partitions after a clean shutdown",
            unit: "ms",
            measured: report.get(open::CLEAN, "ms"),
            wanted: 20.0,
            more: false,
            binds: "the disk: the processor works for a fraction of it".to_owned(),
        },
        flat(
            "cost of a record from 1 to 1,000 partitions",
            worst(growth::PARTITIONS),
            "the syncs of a checkpoint, one for each file that changed",
        ),
        flat(
            "cost of a record from the smallest to the largest log",
            worst(growth::SIZES),
            "the processor",
        ),
    ]
}

/// A cost that may rise by 20 %; whether it falls does not matter.
fn flat(text: &'static str, measured: Option<f64>, binds: &str) -> Target {
    Target {
        text,
        unit: "times",
        measured,
        wanted: 1.2,
        more: false,
        binds: binds.to_owned(),
    }
}
