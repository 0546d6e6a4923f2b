//! Names of files and folders in memory, with the operating system's rules and errors.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Component, Path};

use super::{Entry, OpenMode};

/// A tree of folders; `F` stands for a file's content, which names share.
#[derive(Clone, Debug)]
pub(super) struct Tree<F> {
    pub(super) dirs: BTreeMap<DirId, Names<F>>,
    next: u64,
}

/// What a folder holds.
pub(super) type Names<F> = BTreeMap<String, Node<F>>;

/// The identity of a folder, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DirId(u64);

/// The folder above all others: `/`, and where relative paths begin.
pub(super) const ROOT: DirId = DirId(0);

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) enum Node<F> {
    Dir(DirId),
    File(F),
}

/// One name set or removed in one folder.
#[derive(Clone, Debug)]
pub(super) struct Edit<F> {
    pub(super) dir: DirId,
    pub(super) name: String,
    pub(super) node: Option<Node<F>>,
}

/// Edits that happen together or not at all.
pub(super) type Change<F> = Vec<Edit<F>>;

impl<F> Default for Tree<F> {
    fn default() -> Self {
        Self {
            dirs: BTreeMap::from([(ROOT, Names::new())]),
            next: 1,
        }
    }
}

impl<F: Clone> Tree<F> {
    /// The file that `mode` opens at `path`, and the change when it was made from `make`.
    pub(super) fn open(
        &mut self,
        path: &Path,
        mode: OpenMode,
        make: impl FnOnce() -> F,
    ) -> io::Result<(F, Option<Change<F>>)> {
        let (dir, name) = self.parent(path)?;
        let create = matches!(mode, OpenMode::CreateNew | OpenMode::CreateOrOpen);
        match self.names(dir)?.get(&name) {
            Some(_) if mode == OpenMode::CreateNew => Err(ErrorKind::AlreadyExists.into()),
            Some(Node::Dir(_)) => Err(ErrorKind::IsADirectory.into()),
            Some(Node::File(file)) => Ok((file.clone(), None)),
            None if create => {
                let file = make();
                let change = vec![edit(dir, &name, Some(Node::File(file.clone())))];
                self.apply(&change);
                Ok((file, Some(change)))
            }
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    /// A tree of other folders, some of which were this one's.
    pub(super) fn with_dirs(&self, dirs: BTreeMap<DirId, Names<F>>) -> Self {
        Self {
            dirs,
            next: self.next,
        }
    }

    /// What `dir` holds, sorted by name; `len` measures a file.
    pub(super) fn list(&self, dir: &Path, len: impl Fn(&F) -> u64) -> io::Result<Vec<Entry>> {
        let names = self.names(self.dir(dir)?)?;
        let entry = |(name, node): (&String, &Node<F>)| Entry {
            name: name.clone(),
            is_dir: matches!(node, Node::Dir(_)),
            len: match node {
                Node::Dir(_) => 0,
                Node::File(file) => len(file),
            },
        };
        Ok(names.iter().map(entry).collect())
    }

    /// The folder at `path`.
    pub(super) fn dir(&self, path: &Path) -> io::Result<DirId> {
        let mut dir = ROOT;
        for name in names_of(path) {
            match self.names(dir)?.get(&name) {
                Some(Node::Dir(id)) => dir = *id,
                Some(Node::File(_)) => return Err(ErrorKind::NotADirectory.into()),
                None => return Err(ErrorKind::NotFound.into()),
            }
        }
        Ok(dir)
    }

    /// Makes the folders of `path` that do not exist, the upper ones first.
    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<Vec<Change<F>>> {
        let mut dir = ROOT;
        let mut changes = Vec::new();
        let names = names_of(path);
        for (depth, name) in names.iter().enumerate() {
            match self.names(dir)?.get(name) {
                Some(Node::Dir(id)) => dir = *id,
                Some(Node::File(_)) if depth + 1 == names.len() => {
                    return Err(ErrorKind::AlreadyExists.into());
                }
                Some(Node::File(_)) => return Err(ErrorKind::NotADirectory.into()),
                None => {
                    let id = DirId(self.next);
                    self.next += 1;
                    let change = vec![edit(dir, name, Some(Node::Dir(id)))];
                    self.apply(&change);
                    changes.push(change);
                    dir = id;
                }
            }
        }
        Ok(changes)
    }

    /// Moves a name, replacing a file (or an empty folder by a folder).
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<Change<F>> {
        let (from_dir, from_name) = self.parent(from)?;
        let Some(node) = self.names(from_dir)?.get(&from_name).cloned() else {
            return Err(ErrorKind::NotFound.into());
        };
        let (to_dir, to_name) = self.parent(to)?;
        let (from_names, to_names) = (names_of(from), names_of(to));
        if from_names == to_names {
            return Ok(Vec::new());
        }
        if matches!(node, Node::Dir(_)) && to_names.starts_with(&from_names) {
            return Err(ErrorKind::InvalidInput.into());
        }
        match (&node, self.names(to_dir)?.get(&to_name)) {
            (_, None) | (Node::File(_), Some(Node::File(_))) => {}
            (Node::File(_), Some(Node::Dir(_))) => return Err(ErrorKind::IsADirectory.into()),
            (Node::Dir(_), Some(Node::File(_))) => return Err(ErrorKind::NotADirectory.into()),
            (Node::Dir(_), Some(Node::Dir(id))) if self.names(*id)?.is_empty() => {}
            (Node::Dir(_), Some(Node::Dir(_))) => {
                return Err(ErrorKind::DirectoryNotEmpty.into());
            }
        }
        let change = vec![
            edit(from_dir, &from_name, None),
            edit(to_dir, &to_name, Some(node)),
        ];
        self.apply(&change);
        Ok(change)
    }

    /// Removes a file's name.
    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<Change<F>> {
        let (dir, name) = self.parent(path)?;
        match self.names(dir)?.get(&name) {
            Some(Node::File(_)) => {}
            Some(Node::Dir(_)) => return Err(ErrorKind::IsADirectory.into()),
            None => return Err(ErrorKind::NotFound.into()),
        }
        let change = vec![edit(dir, &name, None)];
        self.apply(&change);
        Ok(change)
    }

    /// Removes a folder and all in it, the inner names first.
    pub(super) fn remove_dir_all(&mut self, path: &Path) -> io::Result<Vec<Change<F>>> {
        let id = self.dir(path)?;
        let (parent, name) = self.parent(path)?;
        let mut changes = Vec::new();
        self.empty(id, &mut changes);
        let change = vec![edit(parent, &name, None)];
        self.apply(&change);
        changes.push(change);
        Ok(changes)
    }

    fn empty(&mut self, dir: DirId, changes: &mut Vec<Change<F>>) {
        let names = self.dirs.get(&dir).cloned().unwrap_or_default();
        for (name, node) in names {
            if let Node::Dir(id) = node {
                self.empty(id, changes);
            }
            let change = vec![edit(dir, &name, None)];
            self.apply(&change);
            changes.push(change);
        }
    }

    /// Sets and removes names; a folder without a name is forgotten.
    fn apply(&mut self, change: &Change<F>) {
        let mut unnamed = Vec::new();
        for edit in change {
            let Some(names) = self.dirs.get_mut(&edit.dir) else {
                continue;
            };
            let before = match &edit.node {
                Some(node) => names.insert(edit.name.clone(), node.clone()),
                None => names.remove(&edit.name),
            };
            if let Some(Node::Dir(id)) = before {
                unnamed.push(id);
            }
            if let Some(Node::Dir(id)) = edit.node {
                self.dirs.entry(id).or_default();
                unnamed.retain(|other| *other != id);
            }
        }
        for id in unnamed {
            self.dirs.remove(&id);
        }
    }

    fn names(&self, dir: DirId) -> io::Result<&Names<F>> {
        self.dirs
            .get(&dir)
            .ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// The folder above `path` and the last name.
    fn parent(&self, path: &Path) -> io::Result<(DirId, String)> {
        let mut names = names_of(path);
        let Some(name) = names.pop() else {
            return Err(ErrorKind::InvalidInput.into());
        };
        let dir = self.dir(&names.iter().collect::<std::path::PathBuf>())?;
        Ok((dir, name))
    }
}

fn edit<F>(dir: DirId, name: &str, node: Option<Node<F>>) -> Edit<F> {
    Edit {
        dir,
        name: name.to_owned(),
        node,
    }
}

/// The names on the way to `path`; absolute and relative paths begin at the same root.
fn names_of(path: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_string_lossy().into_owned()),
            Component::ParentDir => {
                names.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    names
}
