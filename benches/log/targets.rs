//! What the log is meant to reach on a machine of two cores, and by how much it does.

use crate::fetch::{self, Way};
use crate::produce;
use crate::report::{Report, readable};

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
        let ratio = match target.more {
            true => measured / target.wanted,
            false => target.wanted / measured,
        };
        let verdict = match ratio >= 1.0 {
            true => "met".to_owned(),
            false => format!("missed by {:.0} %", (1.0 - ratio) * 100.0),
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
    ]
}
