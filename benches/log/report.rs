//! Figures: as tables for people, as JSON for programs, as lines of a CSV file for the history.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::measure::Result;

/// One figure.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    group: &'static str,
    name: String,
    value: f64,
    unit: &'static str,
}

/// All figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
}

impl Report {
    pub(crate) fn add(
        &mut self,
        group: &'static str,
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
    ) {
        self.figures.push(Figure {
            group,
            name: name.into(),
            value,
            unit,
        });
    }

    /// A figure measured before.
    pub(crate) fn get(&self, name: &str, unit: &str) -> Option<f64> {
        let wanted = |figure: &&Figure| figure.name == name && figure.unit == unit;
        self.figures.iter().find(wanted).map(|figure| figure.value)
    }

    /// The largest of the figures whose names begin like this.
    pub(crate) fn largest(&self, name: &str, unit: &str) -> Option<f64> {
        let wanted = |figure: &&Figure| figure.name.starts_with(name) && figure.unit == unit;
        let values = self
            .figures
            .iter()
            .filter(wanted)
            .map(|figure| figure.value);
        values.max_by(f64::total_cmp)
    }

    /// A line for each name, its figures side by side.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        let mut last = ("", "");
        for figure in &self.figures {
            if last.0 != figure.group {
                text += &format!("\n\n{}", figure.group);
            }
            if last != (figure.group, figure.name.as_str()) {
                text += &format!("\n  {:<66}", figure.name);
            }
            last = (figure.group, &figure.name);
            let shown = format!("{} {}", readable(figure.value), figure.unit);
            text += &format!("{shown:>22}");
        }
        text.trim_start().to_owned() + "\n"
    }

    /// The figures as one JSON object.
    pub(crate) fn json(&self) -> String {
        let figures = self.figures.iter().map(|figure| {
            serde_json::json!({
                "group": figure.group,
                "name": figure.name,
                "value": figure.value,
                "unit": figure.unit,
            })
        });
        let figures: Vec<_> = figures.collect();
        let run = serde_json::json!({
            "date": today(), "commit": commit(), "machine": machine(), "figures": figures,
        });
        format!("{run:#}\n")
    }

    /// Appends the figures to the history.
    pub(crate) fn record(&self, path: &Path) -> Result {
        let mut lines = String::new();
        if !path.exists() {
            lines += "date,commit,machine,name,value,unit\n";
        }
        let (date, commit, machine) = (today(), commit(), machine());
        for figure in &self.figures {
            let name = format!("{}: {}", figure.group, figure.name).replace(',', ";");
            let (value, unit) = (figure.value, figure.unit);
            lines += &format!("{date},{commit},{machine},{name},{value:.4},{unit}\n");
        }
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)?;
        file.write_all(lines.as_bytes())?;
        Ok(())
    }
}

/// A number with three or four digits that mean something.
pub(crate) fn readable(value: f64) -> String {
    match value.abs() {
        large if large >= 100_000.0 => {
            let digits = format!("{value:.0}");
            let mut text = String::new();
            for (at, digit) in digits.chars().enumerate() {
                if at > 0 && (digits.len() - at).is_multiple_of(3) {
                    text.push(' ');
                }
                text.push(digit);
            }
            text
        }
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// The machine in a few words.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(": "))
        .map_or("unknown processor", |(_, model)| model.trim());
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let system = format!("{} {}", std::env::consts::OS, kernel.trim());
    format!("{cores} x {model}; {}", system.trim()).replace(',', ";")
}

/// The commit that was built, as far as git knows it.
pub(crate) fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let Some(head) = git(&["rev-parse", "--short", "HEAD"]) else {
        return "unknown".to_owned();
    };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => head,
        _ => head + "+",
    }
}

/// Today's date in UTC, as ISO 8601 writes it.
fn today() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut days = now.map_or(0, |now| now.as_secs() / 86_400);
    let mut year = 1970;
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}
