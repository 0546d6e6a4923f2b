//! The names of a simulated disk: what everybody sees, what is durable, what lies between.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::content::Content;
use crate::env::Random;
use crate::storage::tree::{self, Change, DirId, Node, ROOT, Tree};
use crate::sync::lock;

/// A file, whatever its names.
#[derive(Debug)]
pub(super) struct Inode {
    id: u64,
    pub(super) content: Mutex<Content>,
}

#[derive(Debug)]
pub(super) struct Names {
    pub(super) tree: Tree<Arc<Inode>>,
    durable: BTreeMap<DirId, tree::Names<Arc<Inode>>>,
    pending: Vec<Pending>,
    next: u64,
}

/// Names that change together, and the folders whose sync they wait for.
#[derive(Debug)]
struct Pending {
    change: Change<Arc<Inode>>,
    unsynced: BTreeSet<DirId>,
}

/// What makes one change build on another: the file or folder it names, the name it sets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    File(u64),
    Dir(DirId),
    Name(DirId, String),
}

impl Names {
    pub(super) fn new() -> Self {
        Self {
            tree: Tree::default(),
            durable: BTreeMap::from([(ROOT, tree::Names::new())]),
            pending: Vec::new(),
            next: 0,
        }
    }

    /// A new file without a name.
    pub(super) fn inode(&mut self) -> Arc<Inode> {
        self.next += 1;
        Arc::new(Inode {
            id: self.next,
            content: Mutex::default(),
        })
    }

    /// Notes names that changed in the tree.
    pub(super) fn record(&mut self, change: Change<Arc<Inode>>) {
        if !change.is_empty() {
            let unsynced = change.iter().map(|edit| edit.dir).collect();
            self.pending.push(Pending { change, unsynced });
        }
    }

    /// Makes the names in a folder durable, and what they build on.
    pub(super) fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        let dir = self.tree.dir(dir)?;
        for pending in &mut self.pending {
            pending.unsynced.remove(&dir);
        }
        let synced = |pending: &Pending| pending.unsynced.is_empty();
        let kept = closed(&self.pending, synced);
        let mut kept = kept.into_iter();
        let (durable, pending): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|_| kept.next().unwrap_or_default());
        self.pending = pending;
        for pending in &durable {
            apply(&mut self.durable, &pending.change);
        }
        if self.pending.is_empty() {
            // Folders that are gone for good.
            let tree = &self.tree;
            self.durable.retain(|dir, _| tree.dirs.contains_key(dir));
        }
        Ok(())
    }

    /// What a power loss leaves: durable names and some of the pending ones, consistent with
    /// each other, over files that `content` makes of the old ones.
    pub(super) fn after_power_loss(
        &self,
        random: &Random,
        mut content: impl FnMut(&Content) -> Content,
    ) -> Self {
        let percent = [0, 50, 100, 90][usize::try_from(random.below(4)).unwrap_or_default()];
        let kept = closed(&self.pending, |_| random.below(100) < percent);
        let mut durable = self.durable.clone();
        for (pending, kept) in self.pending.iter().zip(kept) {
            if kept {
                apply(&mut durable, &pending.change);
            }
        }
        let mut files: BTreeMap<u64, Arc<Inode>> = BTreeMap::new();
        let mut reached = BTreeMap::new();
        let mut todo = vec![ROOT];
        while let Some(dir) = todo.pop() {
            let mut names = durable.remove(&dir).unwrap_or_default();
            for node in names.values_mut() {
                match node {
                    Node::Dir(id) => todo.push(*id),
                    Node::File(old) => {
                        let new = files.entry(old.id).or_insert_with(|| {
                            Arc::new(Inode {
                                id: old.id,
                                content: Mutex::new(content(&lock(&old.content))),
                            })
                        });
                        *node = Node::File(Arc::clone(new));
                    }
                }
            }
            reached.insert(dir, names);
        }
        Self {
            tree: self.tree.with_dirs(reached.clone()),
            durable: reached,
            pending: Vec::new(),
            next: self.next,
        }
    }

    /// Calls `visit` with every durable name and file, in an order that names alone decide.
    pub(super) fn visit_durable(&self, visit: &mut impl FnMut(&str, Option<&Inode>)) {
        visit_dir(&self.durable, ROOT, visit);
    }

    /// As [`Names::visit_durable`], for the names that everybody sees.
    pub(super) fn visit_current(&self, visit: &mut impl FnMut(&str, Option<&Inode>)) {
        visit_dir(&self.tree.dirs, ROOT, visit);
    }
}

/// Which changes are kept when those that `choose` names are: these, and every earlier one that
/// a kept one builds on, as a file system that logs its metadata would have it.
fn closed(pending: &[Pending], mut choose: impl FnMut(&Pending) -> bool) -> Vec<bool> {
    let mut kept = vec![false; pending.len()];
    let mut needed = BTreeSet::new();
    for (index, pending) in pending.iter().enumerate().rev() {
        let subjects = subjects(&pending.change);
        let chosen = choose(pending);
        if chosen || subjects.iter().any(|subject| needed.contains(subject)) {
            kept[index] = true;
            needed.extend(subjects);
        }
    }
    kept
}

fn subjects(change: &Change<Arc<Inode>>) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for edit in change {
        subjects.push(Subject::Name(edit.dir, edit.name.clone()));
        match &edit.node {
            Some(Node::File(inode)) => subjects.push(Subject::File(inode.id)),
            Some(Node::Dir(dir)) => subjects.push(Subject::Dir(*dir)),
            None => {}
        }
    }
    subjects
}

fn apply(durable: &mut BTreeMap<DirId, tree::Names<Arc<Inode>>>, change: &Change<Arc<Inode>>) {
    for edit in change {
        if let Some(Node::Dir(dir)) = edit.node {
            durable.entry(dir).or_default();
        }
        let names = durable.entry(edit.dir).or_default();
        match &edit.node {
            Some(node) => drop(names.insert(edit.name.clone(), node.clone())),
            None => drop(names.remove(&edit.name)),
        }
    }
}

fn visit_dir(
    dirs: &BTreeMap<DirId, tree::Names<Arc<Inode>>>,
    dir: DirId,
    visit: &mut impl FnMut(&str, Option<&Inode>),
) {
    for (name, node) in dirs.get(&dir).into_iter().flatten() {
        match node {
            Node::File(inode) => visit(name, Some(inode)),
            Node::Dir(id) => {
                visit(name, None);
                visit_dir(dirs, *id, visit);
                visit("..", None);
            }
        }
    }
}
