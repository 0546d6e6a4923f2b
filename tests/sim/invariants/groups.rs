//! A group's offset is the last one whose commit was acknowledged, or one whose commit was sent
//! after it: it never goes back behind what was acknowledged.

use std::collections::BTreeMap;

use crate::model::Model;

/// Checks what a cluster says that a group has committed, by topic and partition, and takes over
/// what was unknown.
pub(crate) fn check(model: &mut Model, group: &str, found: &BTreeMap<(String, i32), i64>) {
    for ((topic, partition), offset) in found {
        let key = (group.to_owned(), topic.clone(), *partition);
        assert!(
            model.commits.contains_key(&key),
            "group {group} never committed {offset} in {topic}-{partition}"
        );
    }
    let own = model.commits.iter_mut();
    for ((_, topic, partition), commits) in own.filter(|((of, ..), _)| of == group) {
        let offset = found.get(&(topic.clone(), *partition)).copied();
        let sent = offset.is_some_and(|offset| commits.unknown.contains(&offset));
        assert!(
            sent || offset == commits.acknowledged,
            "group {group} is at {offset:?} in {topic}-{partition}; it committed {commits:?}"
        );
        commits.acknowledged = offset;
        commits.unknown.clear();
    }
}
