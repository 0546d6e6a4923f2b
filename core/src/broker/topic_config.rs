//! The settings of a topic: one table of Kafka's names with their defaults, ranges and meaning.

use std::collections::BTreeMap;

use crate::error::{Error, ErrorKind, Result};
use crate::request::ConfigEntry;

/// The settings of one topic: what was set, checked against [`DEFINITIONS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicConfig {
    set: BTreeMap<String, String>,
}

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number in a range, both ends included.
    Whole(i64, i64),
    /// One of some words.
    Word(&'static [&'static str]),
    /// A list of distinct words, separated by commas; it may be empty.
    Words(&'static [&'static str]),
}

/// One setting that a topic can have.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Kafka's name for it.
    pub name: &'static str,
    /// The value of a topic that does not set it.
    pub default: &'static str,
    /// The values it takes.
    pub kind: Kind,
    /// What it does.
    pub doc: &'static str,
}

const INT_MAX: i64 = 0x7fff_ffff;

/// Every setting that a topic can have, sorted by name; defaults and ranges are Kafka's.
pub const DEFINITIONS: &[Definition] = &[
    Definition {
        name: "cleanup.policy",
        default: "delete",
        kind: Kind::Words(&["compact", "delete"]),
        doc: "How old records go: delete (by retention), compact (all but the last of each key), \
              both, or with an empty list not at all. There is no cleaner: a compacted topic takes \
              no record without a key and keeps every record, which its readers must expect in \
              any case; the cleaner's own settings are refused.",
    },
    Definition {
        name: "compression.type",
        default: "producer",
        kind: Kind::Word(&["producer"]),
        doc: "The codec of stored batches; producer keeps them as they were sent.",
    },
    Definition {
        name: "index.interval.bytes",
        default: "4096",
        kind: Kind::Whole(0, INT_MAX),
        doc: "One index entry is made for about this many bytes of log.",
    },
    Definition {
        name: "internal.segment.bytes",
        default: "",
        kind: Kind::Whole(14, INT_MAX),
        doc: "Like segment.bytes, without its lower bound: for tests only.",
    },
    Definition {
        name: "max.message.bytes",
        default: "1048588",
        kind: Kind::Whole(0, INT_MAX),
        doc: "The largest record batch that the topic takes, as it is sent (compressed).",
    },
    Definition {
        name: "message.timestamp.after.max.ms",
        default: "3600000",
        kind: Kind::Whole(0, i64::MAX),
        doc: "How far a record's timestamp may lie after the broker's time (CreateTime only).",
    },
    Definition {
        name: "message.timestamp.before.max.ms",
        default: "9223372036854775807",
        kind: Kind::Whole(0, i64::MAX),
        doc: "How far a record's timestamp may lie before the broker's time (CreateTime only).",
    },
    Definition {
        name: "message.timestamp.type",
        default: "CreateTime",
        kind: Kind::Word(&["CreateTime", "LogAppendTime"]),
        doc: "Whether a record keeps its producer's timestamp or gets that of the append.",
    },
    Definition {
        name: "retention.bytes",
        default: "-1",
        kind: Kind::Whole(-1, i64::MAX),
        doc: "A partition larger than this loses its oldest segments; -1: no limit.",
    },
    Definition {
        name: "retention.ms",
        default: "604800000",
        kind: Kind::Whole(-1, i64::MAX),
        doc: "Segments whose newest record is older than this go; -1: never.",
    },
    Definition {
        name: "segment.bytes",
        default: "1073741824",
        kind: Kind::Whole(1 << 20, INT_MAX),
        doc: "The size at which a new segment file begins.",
    },
    Definition {
        name: "segment.ms",
        default: "604800000",
        kind: Kind::Whole(1, i64::MAX),
        doc: "The age at which a new segment file begins, full or not.",
    },
];

impl TopicConfig {
    /// Checks settings, by name and value.
    ///
    /// # Errors
    /// `InvalidConfig` for a name that is unknown or unsupported (the message lists the valid
    /// ones) or a value outside its range (the message says the range).
    pub fn new(set: BTreeMap<String, String>) -> Result<Self> {
        for (name, value) in &set {
            definition(name)?.check(value)?;
        }
        Ok(Self { set })
    }

    /// The settings after some were set, or reset with `None`.
    ///
    /// # Errors
    /// As [`TopicConfig::new`]; a reset of an unknown name is an error too.
    pub fn altered(&self, changes: Vec<(String, Option<String>)>) -> Result<Self> {
        let mut set = self.set.clone();
        for (name, value) in changes {
            definition(&name)?;
            match value {
                Some(value) => set.insert(name, value),
                None => set.remove(&name),
            };
        }
        Self::new(set)
    }

    /// What was set, by name.
    #[must_use]
    pub fn set(&self) -> &BTreeMap<String, String> {
        &self.set
    }

    /// Every setting with the value in force, sorted by name.
    #[must_use]
    pub fn describe(&self) -> Vec<ConfigEntry> {
        let shown = DEFINITIONS.iter().filter(|definition| {
            !definition.default.is_empty() || self.set.contains_key(definition.name)
        });
        shown
            .map(|definition| ConfigEntry {
                name: definition.name.to_owned(),
                value: self.value(definition.name).to_owned(),
                is_default: !self.set.contains_key(definition.name),
            })
            .collect()
    }

    /// The value in force.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        let set = self.set.get(name).map(String::as_str);
        set.or_else(|| find(name).map(|definition| definition.default))
            .unwrap_or_default()
    }

    /// The value in force of a whole number; `None` where it is empty.
    #[must_use]
    pub fn whole(&self, name: &str) -> Option<i64> {
        self.value(name).trim().parse().ok()
    }

    /// Whether a list contains a word.
    #[must_use]
    pub fn lists(&self, name: &str, word: &str) -> bool {
        words(self.value(name)).any(|listed| listed == word)
    }
}

impl Definition {
    /// The rule for values, in words.
    #[must_use]
    pub fn rule(&self) -> String {
        match self.kind {
            Kind::Whole(low, i64::MAX) => format!("a whole number, {low} or more"),
            Kind::Whole(low, high) => format!("a whole number from {low} to {high}"),
            Kind::Word(words) => format!("one of: {}", words.join(", ")),
            Kind::Words(words) => format!("a comma-separated list of: {}", words.join(", ")),
        }
    }

    fn check(&self, value: &str) -> Result<()> {
        let good = match self.kind {
            Kind::Whole(low, high) => value
                .trim()
                .parse::<i64>()
                .is_ok_and(|number| (low..=high).contains(&number)),
            Kind::Word(allowed) => allowed.contains(&value),
            Kind::Words(allowed) => {
                let mut seen = Vec::new();
                words(value).all(|word| {
                    let fresh = allowed.contains(&word) && !seen.contains(&word);
                    seen.push(word);
                    fresh
                })
            }
        };
        if good {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidConfig,
            format!("{}: {value:?} is not {}", self.name, self.rule()),
        ))
    }
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

fn find(name: &str) -> Option<&'static Definition> {
    DEFINITIONS
        .iter()
        .find(|definition| definition.name == name)
}

fn definition(name: &str) -> Result<&'static Definition> {
    find(name).ok_or_else(|| {
        let names: Vec<_> = DEFINITIONS.iter().map(|known| known.name).collect();
        Error::new(
            ErrorKind::InvalidConfig,
            format!(
                "a topic has no setting {name:?} here; it can have: {}",
                names.join(", ")
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str, value: &str) -> Result<TopicConfig> {
        TopicConfig::new([(name.to_owned(), value.to_owned())].into())
    }

    #[test]
    fn the_table_is_sorted_and_its_defaults_are_valid() {
        assert!(DEFINITIONS.is_sorted_by_key(|definition| definition.name));
        for definition in DEFINITIONS {
            if !definition.default.is_empty() {
                definition.check(definition.default).unwrap();
            }
        }
    }

    #[test]
    fn values_in_range_are_taken() {
        assert_eq!(
            config("retention.ms", "-1").unwrap().whole("retention.ms"),
            Some(-1)
        );
        assert_eq!(TopicConfig::default().whole("segment.bytes"), Some(1 << 30));
        let both = config("cleanup.policy", "compact, delete").unwrap();
        assert!(both.lists("cleanup.policy", "compact"));
        assert!(both.lists("cleanup.policy", "delete"));
        assert!(
            !config("cleanup.policy", "")
                .unwrap()
                .lists("cleanup.policy", "delete")
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        for (name, value, says) in [
            ("retention.msec", "1", "retention.ms"),
            ("flush.ms", "1", "retention.bytes"),
            ("retention.ms", "-2", "-1 or more"),
            ("retention.ms", "soon", "whole number"),
            ("segment.bytes", "1", "from 1048576 to 2147483647"),
            ("cleanup.policy", "delete,delete", "compact, delete"),
            ("compression.type", "zstd", "producer"),
        ] {
            let error = config(name, value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn alterations_set_and_reset() {
        let first = config("retention.ms", "5").unwrap();
        let second = first
            .altered(vec![
                ("retention.ms".to_owned(), None),
                ("segment.ms".to_owned(), Some("7".to_owned())),
            ])
            .unwrap();
        assert_eq!(second.whole("retention.ms"), Some(604_800_000));
        assert_eq!(second.whole("segment.ms"), Some(7));
        assert!(first.altered(vec![("nonsense".to_owned(), None)]).is_err());
        let shown = second.describe();
        assert!(
            shown
                .iter()
                .any(|e| e.name == "segment.ms" && !e.is_default)
        );
        assert!(
            shown
                .iter()
                .any(|e| e.name == "retention.ms" && e.is_default)
        );
    }
}
