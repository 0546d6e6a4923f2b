//! The only maps and queues that the crate uses: seeded, and bounded by name.

/// A hash map whose order does not depend on the process, so that a simulation repeats.
#[expect(clippy::disallowed_types, reason = "the one seeded alias")]
pub type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::FixedState>;

/// A hash set whose order does not depend on the process.
#[expect(clippy::disallowed_types, reason = "the one seeded alias")]
pub type HashSet<K> = std::collections::HashSet<K, foldhash::fast::FixedState>;

/// A concurrent map for shared look-ups; clone the value out, never hold a guard across an await.
pub type SharedMap<K, V> = dashmap::DashMap<K, V, foldhash::fast::FixedState>;

/// Takes a lock whose holder may have panicked: the state behind every lock of this crate is
/// changed only after what can fail has not, so it is whole even then.
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
