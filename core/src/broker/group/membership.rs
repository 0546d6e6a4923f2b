//! The members of one group, as a pure state machine: what happened and when in, the answer out.
//!
//! ```text
//!   join (new)          join (again)                 leave, or silent for the session timeout
//!  ----------> member ----------------> member ---------------------------------------> gone
//!              owns its share of        gave up what is not its share any more,
//!              what is free             took what others gave up
//! ```
//!
//! Nobody waits for anybody. Each event works out the wanted assignment (range); a member that
//! joins gets its share less what others still own, and a heartbeat answers `RebalanceInProgress`
//! as soon as joining again would change what the member owns. So at no time do two members own a
//! partition, and a commit of an owner is always good.
//!
//! Members are not stored: they live in the same process as the log, and die with it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::assignor;
use crate::error::{Error, ErrorKind, Result};
use crate::types::{GroupId, MemberId, TopicName, TopicPartition};

/// The members of one group.
#[derive(Debug)]
pub(crate) struct Group {
    id: GroupId,
    generation: i32,
    members: BTreeMap<MemberId, Member>,
}

#[derive(Debug)]
struct Member {
    topics: BTreeSet<TopicName>,
    session_timeout: Duration,
    deadline: Duration,
    generation: i32,
    owned: BTreeSet<TopicPartition>,
}

/// How many partitions a topic has; 0 when there is no such topic.
pub(crate) type PartitionCount<'a> = &'a dyn Fn(&TopicName) -> i32;

/// What a member asks for when it joins.
#[derive(Debug)]
pub(crate) struct Join {
    pub(crate) member: MemberId,
    /// Whether the id was made just now, for a member that had none.
    pub(crate) fresh: bool,
    pub(crate) topics: BTreeSet<TopicName>,
    pub(crate) session_timeout: Duration,
}

/// The answer to a [`Join`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) generation: i32,
    pub(crate) assignment: BTreeSet<TopicPartition>,
}

impl Group {
    pub(crate) fn new(id: GroupId) -> Self {
        Self {
            id,
            generation: 0,
            members: BTreeMap::new(),
        }
    }

    /// A member joins, or joins again to change what it owns.
    pub(crate) fn join(
        &mut self,
        join: Join,
        partitions: PartitionCount<'_>,
        now: Duration,
    ) -> Result<Joined> {
        self.expire(now);
        let owned = match self.members.get_mut(&join.member) {
            Some(member) => std::mem::take(&mut member.owned),
            None if join.fresh => BTreeSet::new(),
            None => return Err(self.unknown(&join.member)),
        };
        let member = Member {
            topics: join.topics,
            session_timeout: join.session_timeout,
            deadline: now.saturating_add(join.session_timeout),
            generation: 0,
            owned,
        };
        self.members.insert(join.member.clone(), member);
        let assignment = self.share(&join.member, partitions);
        self.generation += 1;
        if let Some(member) = self.members.get_mut(&join.member) {
            member.generation = self.generation;
            member.owned.clone_from(&assignment);
        }
        self.check_owners();
        Ok(Joined {
            generation: self.generation,
            assignment,
        })
    }

    /// A member shows that it lives, and learns whether it should join again.
    pub(crate) fn heartbeat(
        &mut self,
        member: &MemberId,
        generation: i32,
        partitions: PartitionCount<'_>,
        now: Duration,
    ) -> Result<()> {
        self.check(member, generation, now)?;
        if let Some(member) = self.members.get_mut(member) {
            member.deadline = now.saturating_add(member.session_timeout);
        }
        let share = self.share(member, partitions);
        if self
            .members
            .get(member)
            .is_some_and(|member| member.owned != share)
        {
            return Err(Error::new(
                ErrorKind::RebalanceInProgress,
                format!("group {}: the assignment changes, join again", self.id),
            ));
        }
        Ok(())
    }

    /// A member leaves; what it owned is free.
    pub(crate) fn leave(&mut self, member: &MemberId, now: Duration) -> Result<()> {
        self.expire(now);
        match self.members.remove(member) {
            Some(_) => Ok(()),
            None => Err(self.unknown(member)),
        }
    }

    /// Whether a member is there and its generation is the one of its last join.
    pub(crate) fn check(
        &mut self,
        member: &MemberId,
        generation: i32,
        now: Duration,
    ) -> Result<()> {
        self.expire(now);
        let Some(current) = self.members.get(member) else {
            return Err(self.unknown(member));
        };
        if current.generation != generation {
            return Err(Error::new(
                ErrorKind::IllegalGeneration,
                format!(
                    "group {}: member {member} is of generation {}, not {generation}; join again",
                    self.id, current.generation
                ),
            ));
        }
        Ok(())
    }

    /// Whether nobody is in the group.
    pub(crate) fn is_empty(&mut self, now: Duration) -> bool {
        self.expire(now);
        self.members.is_empty()
    }

    fn expire(&mut self, now: Duration) {
        self.members.retain(|_, member| member.deadline > now);
    }

    /// What a member may own now: its part of the wanted assignment that nobody else owns still.
    fn share(&self, id: &MemberId, partitions: PartitionCount<'_>) -> BTreeSet<TopicPartition> {
        let members = self.members.iter().map(|(id, member)| (id, &member.topics));
        let mut wanted = assignor::range(members, partitions)
            .remove(id)
            .unwrap_or_default();
        for (other, member) in &self.members {
            if other != id {
                wanted.retain(|partition| !member.owned.contains(partition));
            }
        }
        wanted
    }

    fn check_owners(&self) {
        let owned: usize = self.members.values().map(|member| member.owned.len()).sum();
        let distinct: BTreeSet<_> = self.members.values().flat_map(|m| &m.owned).collect();
        assert_eq!(
            owned,
            distinct.len(),
            "a partition has one owner in a group"
        );
    }

    fn unknown(&self, member: &MemberId) -> Error {
        Error::new(
            ErrorKind::UnknownMemberId,
            format!(
                "group {} has no member {member}: it left or was silent for longer than its \
                 session timeout; join as a new member",
                self.id
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Partition;

    const SESSION: Duration = Duration::from_secs(45);

    fn id(name: &str) -> MemberId {
        MemberId(name.into())
    }

    fn join(group: &mut Group, name: &str, fresh: bool, now: Duration) -> Result<Joined> {
        let join = Join {
            member: id(name),
            fresh,
            topics: [TopicName::new("t").unwrap()].into(),
            session_timeout: SESSION,
        };
        group.join(join, &|_| 4, now)
    }

    fn numbers(joined: &Joined) -> Vec<i32> {
        let partition = |tp: &TopicPartition| tp.partition.value();
        joined.assignment.iter().map(partition).collect()
    }

    fn group() -> Group {
        Group::new(GroupId::new("g").unwrap())
    }

    #[test]
    fn a_partition_moves_only_when_its_owner_gave_it_up() {
        let (mut group, now) = (group(), Duration::ZERO);
        let a = join(&mut group, "a", true, now).unwrap();
        assert_eq!(numbers(&a), [0, 1, 2, 3]);
        let b = join(&mut group, "b", true, now).unwrap();
        assert!(b.assignment.is_empty());
        group
            .heartbeat(&id("b"), b.generation, &|_| 4, now)
            .unwrap();
        let told = group.heartbeat(&id("a"), a.generation, &|_| 4, now);
        assert_eq!(told.unwrap_err().kind(), ErrorKind::RebalanceInProgress);
        // The owner's commits are good until it joins again.
        group.check(&id("a"), a.generation, now).unwrap();
        let again = join(&mut group, "a", false, now).unwrap();
        assert_eq!(numbers(&again), [0, 1]);
        let stale = group.check(&id("a"), a.generation, now);
        assert_eq!(stale.unwrap_err().kind(), ErrorKind::IllegalGeneration);
        let told = group.heartbeat(&id("b"), b.generation, &|_| 4, now);
        assert_eq!(told.unwrap_err().kind(), ErrorKind::RebalanceInProgress);
        let b = join(&mut group, "b", false, now).unwrap();
        assert_eq!(numbers(&b), [2, 3]);
        group
            .heartbeat(&id("a"), again.generation, &|_| 4, now)
            .unwrap();
    }

    #[test]
    fn the_silent_and_the_leaving_make_room() {
        let mut group = group();
        let a = join(&mut group, "a", true, Duration::ZERO).unwrap();
        let late = SESSION + Duration::from_millis(1);
        let b = join(&mut group, "b", true, late).unwrap();
        assert_eq!(numbers(&b), [0, 1, 2, 3]);
        let gone = group.heartbeat(&id("a"), a.generation, &|_| 4, late);
        assert_eq!(gone.unwrap_err().kind(), ErrorKind::UnknownMemberId);
        assert_eq!(
            join(&mut group, "a", false, late).unwrap_err().kind(),
            ErrorKind::UnknownMemberId
        );
        group.leave(&id("b"), late).unwrap();
        assert!(group.is_empty(late));
    }

    #[test]
    fn new_partitions_are_noticed_at_the_next_heartbeat() {
        let (mut group, now) = (group(), Duration::ZERO);
        let a = join(&mut group, "a", true, now).unwrap();
        let told = group.heartbeat(&id("a"), a.generation, &|_| 5, now);
        assert_eq!(told.unwrap_err().kind(), ErrorKind::RebalanceInProgress);
        assert!(!a.assignment.contains(&TopicPartition::new(
            TopicName::new("t").unwrap(),
            Partition(4)
        )));
    }
}
