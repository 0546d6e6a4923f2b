//! A topic whose creation was acknowledged is there with its identity and its partitions; one
//! whose deletion was acknowledged is gone.

use std::collections::BTreeMap;

use headwater_core::client::TopicMetadata;

use crate::model::{Existence, Model};

/// Checks what a cluster lists, and takes over what was unknown.
pub(crate) fn check(model: &mut Model, listed: &[TopicMetadata]) {
    let listed: BTreeMap<&str, &TopicMetadata> = listed
        .iter()
        .map(|topic| (topic.name.as_str(), topic))
        .collect();
    for name in listed.keys() {
        assert!(model.topic(name).is_some(), "topic {name} was never made");
    }
    for (name, topic) in &mut model.topics {
        let Some(found) = listed.get(name.as_str()) else {
            assert_ne!(topic.existence, Existence::Exists, "topic {name} is lost");
            topic.existence = Existence::Gone;
            continue;
        };
        assert_ne!(topic.existence, Existence::Gone, "topic {name} came back");
        let id = topic.id.unwrap_or(found.id);
        assert_eq!(found.id, id, "topic {name} is another one");
        let (low, high) = topic.partitions;
        assert!(
            (low..=high).contains(&found.partitions),
            "topic {name} has {} partitions, not {low} to {high}",
            found.partitions
        );
        (topic.id, topic.existence) = (Some(found.id), Existence::Exists);
        topic.partitions = (found.partitions, found.partitions);
    }
    let Model {
        topics, commits, ..
    } = model;
    commits.retain(|(_, topic, _), _| {
        let topic = topics.get(topic);
        topic.is_some_and(|topic| topic.existence == Existence::Exists)
    });
}
