//! The test driver: a topology without threads, a cluster or waiting.
//!
//! ```
//! use headwater_streams::{StreamsBuilder, TopologyTestDriver, map};
//! let builder = StreamsBuilder::new();
//! builder
//!     .stream::<(), str>("text")
//!     .flat_map_values(|line, out| line.split_whitespace().for_each(|word| out.emit(word)))
//!     .group_by_ref(|_, word| word)
//!     .count("word-counts")
//!     .to_stream()
//!     .to("counts");
//! let mut driver = TopologyTestDriver::new(builder.build()?);
//! driver.input("text").send((), "a b a").at(0);
//! assert_eq!(driver.output::<str, u64>("counts").to_map(), map! { "a" => 2, "b" => 1 });
//! # Ok::<(), headwater_core::Error>(())
//! ```

mod driver;
mod input_topic;
mod output_topic;

pub use driver::{StoreView, TopologyTestDriver};
pub use input_topic::{InputTopic, Lend, Sending};
pub use output_topic::{OutputTopic, TestRecord};

/// A `BTreeMap` of the pairs; keys convert (`"a"` to a `String`).
#[macro_export]
macro_rules! map {
    ($($key:expr => $value:expr),* $(,)?) => {
        ::std::collections::BTreeMap::from([$((
            ::core::convert::Into::into($key),
            $value,
        )),*])
    };
}
