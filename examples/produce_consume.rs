//! Sends orders to a topic and bills them in a group that remembers how far it has come.
//!
//! ```text
//! cargo run --example produce_consume            in memory
//! cargo run --example produce_consume -- DIR     in a folder; run it again: it goes on
//! ```
#![expect(clippy::print_stdout, reason = "an example talks to who runs it")]

use headwater::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    product: String,
    pieces: u32,
}
headwater::stored_as_bincode!(Order);

const ORDERS: [(&str, &str, u32); 3] = [
    ("ada", "notebook", 2),
    ("grace", "compass", 1),
    ("ada", "pencil", 12),
];

#[tokio::main]
async fn main() -> headwater::Result<()> {
    let cluster = match std::env::args().nth(1) {
        Some(dir) => Cluster::open(dir).await?,
        None => Cluster::memory(),
    };
    produce(&cluster).await?;
    consume(&cluster).await?;
    cluster.close().await
}

async fn produce(cluster: &Cluster) -> headwater::Result<()> {
    let orders = cluster.producer::<str, Order>("orders").build().await?;
    for (customer, product, pieces) in ORDERS {
        let order = Order {
            product: product.to_owned(),
            pieces,
        };
        // On disk when this returns: acks=all is the default.
        let ack = orders.send(customer, &order).await?;
        println!("sent {customer}'s order to offset {}", ack.offset);
    }
    orders.close().await
}

async fn consume(cluster: &Cluster) -> headwater::Result<()> {
    let mut orders = cluster
        .consumer::<String, Order>()
        .group("billing")
        .from_beginning()
        .subscribe(["orders"])
        .await?;
    for _ in ORDERS {
        if let Some(record) = orders.next().await {
            let record = record?;
            let Order { product, pieces } = record.value;
            println!("bill {} for {pieces} x {product}", record.key);
        }
    }
    // Commits how far the group has come, and leaves it.
    orders.close().await
}
