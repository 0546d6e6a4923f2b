//! A bank account as its events: the balance is never stored, it is what the events add up to.
//!
//! Commands are decided against the aggregate, accepted ones become events on the log, and after a
//! restart the aggregate is rebuilt by reading its events again.
//!
//! ```text
//! cargo run --example event_sourcing             in memory
//! cargo run --example event_sourcing -- DIR      in a folder; run it again: balances go on
//! ```
#![expect(clippy::print_stdout, reason = "an example talks to who runs it")]

use std::collections::BTreeMap;

use headwater::prelude::*;
use serde::{Deserialize, Serialize};

/// What happened; facts are never taken back.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Event {
    Opened,
    Deposited { cents: u64 },
    Withdrawn { cents: u64 },
}
headwater::stored_as_json!(Event);

/// An account, as its events say.
#[derive(Debug, Default)]
struct Account {
    open: bool,
    cents: u64,
    events: u64,
}

impl Account {
    /// Takes note of what happened: the only way an account changes.
    fn apply(&mut self, event: &Event) {
        match event {
            Event::Opened => self.open = true,
            Event::Deposited { cents } => self.cents += cents,
            Event::Withdrawn { cents } => self.cents -= cents,
        }
        self.events += 1;
    }

    /// Decides: the event that a withdrawal causes, or why it may not happen.
    fn withdraw(&self, cents: u64) -> Result<Event, String> {
        match self.cents.checked_sub(cents) {
            Some(_) if self.open => Ok(Event::Withdrawn { cents }),
            Some(_) => Err("there is no such account".to_owned()),
            None => Err(format!("only {} cents are there", self.cents)),
        }
    }
}

/// All accounts, and the log that they stand on.
struct Bank {
    accounts: BTreeMap<String, Account>,
    events: Producer<str, Event>,
}

impl Bank {
    /// Rebuilds every account from the first event to the last.
    async fn load(cluster: &Cluster) -> headwater::Result<Self> {
        let events = cluster.producer::<str, Event>("accounts").build().await?;
        let partition = TopicPartition::new(TopicName::new("accounts")?, Partition(0));
        let mut history = cluster
            .consumer::<String, Event>()
            .from_beginning()
            .assign([partition.clone()])
            .await?;
        let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
        while history.lag(&partition).await? > 0 {
            for record in history.next_batch().await?.into_iter().flatten() {
                accounts.entry(record.key).or_default().apply(&record.value);
            }
        }
        Ok(Self { accounts, events })
    }

    /// Writes an event down; it counts once it is on disk.
    async fn record(&mut self, name: &str, event: Event) -> headwater::Result<()> {
        self.events.send(name, &event).await?;
        self.accounts
            .entry(name.to_owned())
            .or_default()
            .apply(&event);
        Ok(())
    }

    async fn withdraw(&mut self, name: &str, cents: u64) -> headwater::Result<()> {
        match self
            .accounts
            .entry(name.to_owned())
            .or_default()
            .withdraw(cents)
        {
            Ok(event) => self.record(name, event).await,
            Err(refusal) => {
                println!("{name} cannot withdraw {cents}: {refusal}");
                Ok(())
            }
        }
    }
}

#[tokio::main]
async fn main() -> headwater::Result<()> {
    let cluster = match std::env::args().nth(1) {
        Some(dir) => Cluster::open(dir).await?,
        None => Cluster::memory(),
    };
    let mut bank = Bank::load(&cluster).await?;
    if bank.accounts.is_empty() {
        bank.record("ada", Event::Opened).await?;
        bank.record("grace", Event::Opened).await?;
    }
    bank.record("ada", Event::Deposited { cents: 1_000 })
        .await?;
    bank.record("grace", Event::Deposited { cents: 250 })
        .await?;
    bank.withdraw("ada", 400).await?;
    bank.withdraw("grace", 9_999).await?;

    // Nothing but the log is needed to have the accounts again.
    let rebuilt = Bank::load(&cluster).await?;
    for (name, account) in &rebuilt.accounts {
        println!(
            "{name}: {} cents after {} events",
            account.cents, account.events
        );
    }
    cluster.close().await
}
