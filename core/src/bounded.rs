//! The only maps and queues that the crate uses: seeded, and bounded by name.

/// A hash map whose order does not depend on the process, so that a simulation repeats.
#[expect(clippy::disallowed_types, reason = "the one seeded alias")]
pub type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::FixedState>;

/// A hash set whose order does not depend on the process.
#[expect(clippy::disallowed_types, reason = "the one seeded alias")]
pub type HashSet<K> = std::collections::HashSet<K, foldhash::fast::FixedState>;

/// A concurrent map for shared look-ups; clone the value out, never hold a guard across an await.
pub type SharedMap<K, V> = dashmap::DashMap<K, V, foldhash::fast::FixedState>;
