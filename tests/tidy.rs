//! The house rules that a compiler does not check; each message says how to repair.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at what it did not foresee"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 800;
const MAP_LINES_MAX: usize = 160;
const COLUMNS_MAX: usize = 100;

/// Which crate of the workspace may depend on which: folder, package, internal dependencies.
const CRATE_EDGES: &[(&str, &str, &[&str])] = &[
    ("core", "headwater-core", &[]),
    ("streams", "headwater-streams", &["headwater-core"]),
    (".", "headwater", &["headwater-core", "headwater-streams"]),
    ("xtask", "xtask", &[]),
];

/// The modules of core that every other may name, and that name only each other.
const GROUND: &[&str] = &["bounded", "cursor", "error", "sync", "types"];

/// Which module of core may name which, besides itself and the ground. A row for a path inside a
/// module stands in place of the module's row.
const MODULE_EDGES: &[(&str, &[&str])] = &[
    ("env", &["storage"]),
    ("request", &[]),
    ("serdes", &[]),
    ("record", &[]),
    ("storage", &["env"]),
    ("log", &["env", "record", "storage"]),
    ("broker", &["env", "log", "record", "request", "storage"]),
    ("broker/group", &["request"]),
    ("client", &["env", "record", "request", "serdes"]),
    ("client/embedded", &["broker", "env", "request"]),
];

/// The file of core and streams that may touch the file system.
const DISK: &str = "core/src/storage/disk.rs";

/// A text file of the repository: its path from the root, with `/`, and what it says.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The lines that are neither comments nor docs, numbered from 1.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self
            .text
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line));
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file of the repository; what builds and data folders hold is not part of it.
fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                let hidden = name.starts_with('.') && name != ".ci" && name != ".cargo";
                if !hidden && !matches!(name.as_str(), "target" | "data" | "headwater-data") {
                    folders.push(path);
                }
            } else if is_text(&path) {
                let inside = path.strip_prefix(root()).unwrap();
                found.push(Source {
                    path: inside.to_string_lossy().replace('\\', "/"),
                    text: fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.iter().any(|source| source.path == "tests/tidy.rs"));
    found
}

fn is_text(path: &Path) -> bool {
    let extension = path
        .extension()
        .map_or("", |extension| extension.to_str().unwrap());
    matches!(extension, "rs" | "toml" | "md" | "sh" | "yml") || path.ends_with(".ci/run")
}

fn rust_sources() -> Vec<Source> {
    sources().into_iter().filter(Source::is_rust).collect()
}

/// Fails with all complaints, one a line.
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn a_file_says_at_its_head_what_it_is_for() {
    let mut complaints = Vec::new();
    for Source { path, text } in rust_sources() {
        if !text.starts_with("//! ") {
            complaints.push(format!(
                "{path}: begin with a `//!` line that says what it is for"
            ));
        }
    }
    none(&complaints);
}

/// Streams stand on the client API; what lies below it is the embedded broker's own.
#[test]
fn streams_see_only_the_client_side_of_core() {
    let mut complaints = Vec::new();
    for source in rust_sources() {
        if !source.path.starts_with("streams/src/") {
            continue;
        }
        // One line, so that a module named on a line of its own inside braces is seen.
        let text: String = source.text.split_whitespace().collect();
        for module in ["broker", "log"] {
            let direct = text.contains(&format!("headwater_core::{module}"));
            let nested = text.split("headwater_core::{").skip(1).any(|rest| {
                let list = rest.split(';').next().unwrap();
                list.starts_with(&format!("{module}::")) || list.contains(&format!(",{module}::"))
            });
            if direct || nested {
                let path = &source.path;
                complaints.push(format!(
                    "{path}: go through headwater_core::client, not {module}"
                ));
            }
        }
    }
    none(&complaints);
}

#[test]
fn files_and_lines_are_short() {
    let mut complaints = Vec::new();
    for source in rust_sources() {
        let path = &source.path;
        let count = source.text.lines().count();
        if count > FILE_LINES_MAX {
            complaints.push(format!(
                "{path}: {count} lines, at most {FILE_LINES_MAX}: split it, or move its tests to \
                 {}/tests.rs",
                path.trim_end_matches(".rs")
            ));
        }
        for (at, line) in source.text.lines().enumerate() {
            if line.chars().count() > COLUMNS_MAX {
                let at = at + 1;
                complaints.push(format!("{path}:{at}: wrap it at {COLUMNS_MAX} columns"));
            }
        }
    }
    none(&complaints);
}

#[test]
fn sources_are_ascii() {
    let mut complaints = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| !source.path.ends_with(".md"))
    {
        for (at, line) in source.text.lines().enumerate() {
            if let Some(c) = line.chars().find(|c| !c.is_ascii()) {
                let (path, at) = (&source.path, at + 1);
                complaints.push(format!(
                    "{path}:{at}: write {c:?} as `{}`",
                    c.escape_unicode()
                ));
            }
        }
    }
    none(&complaints);
}

#[test]
fn nothing_is_left_for_later() {
    // In two parts each, so that this file does not accuse itself.
    let marks = [
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[", "ignore"),
    ];
    let mut complaints = Vec::new();
    for Source { path, text } in rust_sources() {
        for (at, line) in text.lines().enumerate() {
            if let Some(mark) = marks.iter().find(|mark| line.contains(**mark)) {
                let at = at + 1;
                complaints.push(format!(
                    "{path}:{at}: do it or drop it, {mark} does not stay"
                ));
            }
        }
    }
    none(&complaints);
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    let places = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
    ];
    let mut complaints = Vec::new();
    for Source { path, text } in sources() {
        for (at, line) in text.lines().enumerate() {
            if let Some(place) = places.iter().find(|place| line.contains(**place)) {
                let at = at + 1;
                complaints.push(format!(
                    "{path}:{at}: name no {place}, only paths from the root"
                ));
            }
        }
    }
    none(&complaints);
}

#[test]
fn a_folder_has_a_map() {
    let mut complaints = Vec::new();
    let mut folders: BTreeMap<String, bool> = BTreeMap::new();
    for source in rust_sources() {
        let (folder, name) = source.path.rsplit_once('/').unwrap();
        let is_map = matches!(name, "mod.rs" | "lib.rs" | "main.rs");
        *folders.entry(folder.to_owned()).or_default() |= is_map;
        let count = source.text.lines().count();
        if matches!(name, "mod.rs" | "lib.rs") && count > MAP_LINES_MAX {
            complaints.push(format!(
                "{}: {count} lines, a map has at most {MAP_LINES_MAX}: move code to its own file",
                source.path
            ));
        }
    }
    // In these each file is a program of its own, or a part of `x.rs` beside the folder.
    let free = |folder: &str| {
        folder.ends_with("tests")
            || matches!(folder, "examples" | "benches")
            || root().join(format!("{folder}.rs")).is_file()
    };
    for (folder, has_map) in folders {
        if !has_map && !free(&folder) {
            complaints.push(format!("{folder}/: add a mod.rs that draws the folder"));
        }
    }
    none(&complaints);
}

#[test]
fn crates_depend_downward() {
    let mut complaints = Vec::new();
    for (folder, package, allowed) in CRATE_EDGES {
        let manifest = root().join(folder).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        assert!(
            text.contains(&format!("name = \"{package}\"")),
            "{}",
            manifest.display()
        );
        for name in dependencies(&text) {
            if name.starts_with("headwater") && !allowed.contains(&name.as_str()) {
                complaints.push(format!(
                    "{folder}/Cargo.toml: {package} must not see {name}; a new edge is a decision: \
                     docs/decisions, then CRATE_EDGES in tests/tidy.rs"
                ));
            }
        }
    }
    let members = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = members
        .lines()
        .find(|line| line.starts_with("default-members"))
        .unwrap();
    let listed = members.matches('"').count() / 2;
    if listed != CRATE_EDGES.len() {
        complaints.push(format!(
            "CRATE_EDGES in tests/tidy.rs: give each of {members} a row"
        ));
    }
    none(&complaints);
}

/// The names under `[dependencies]`, `[dev-dependencies]` and `[build-dependencies]`.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]") && !line.starts_with("[workspace");
        } else if let (true, Some((name, _))) = (inside, line.split_once(['.', ' ', '='])) {
            names.insert(name.to_owned());
        }
    }
    names
}

#[test]
fn modules_of_core_see_downward() {
    let modules: BTreeSet<&str> = MODULE_EDGES.iter().map(|(module, _)| *module).collect();
    let mut complaints = Vec::new();
    for source in rust_sources() {
        let Some(inside) = source.path.strip_prefix("core/src/") else {
            continue;
        };
        let inside = inside.trim_end_matches(".rs");
        if inside == "lib" {
            continue;
        }
        let top = inside.split('/').next().unwrap();
        let row = if GROUND.contains(&top) {
            Some((top, &[][..]))
        } else {
            row_of(inside)
        };
        let Some((row, allowed)) = row else {
            complaints.push(format!(
                "core/src/{inside}.rs: give it a row in MODULE_EDGES of tests/tidy.rs"
            ));
            continue;
        };
        for (line, name) in named_modules(&source) {
            let known = modules.contains(name.as_str());
            if known && name != top && !allowed.contains(&name.as_str()) {
                complaints.push(format!(
                    "{}:{line}: {row} must not see {name}: move what it needs below both, or hand \
                     it in",
                    source.path
                ));
            }
        }
    }
    none(&complaints);
}

/// The longest row of `MODULE_EDGES` that covers the path of a file inside core.
fn row_of(inside: &str) -> Option<(&'static str, &'static [&'static str])> {
    let covers = |row: &str| {
        inside == row
            || inside
                .strip_prefix(row)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    let rows = MODULE_EDGES.iter().filter(|(row, _)| covers(row));
    rows.max_by_key(|(row, _)| row.len()).copied()
}

/// The top modules that a file names, as `crate::x`, `crate::{x, y}` or by climbing.
fn named_modules(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut braces: Option<usize> = None;
    for (number, line) in source.code() {
        let mut rest = line;
        if let Some(depth) = braces.take() {
            braces = names_in_braces(line, depth, number, &mut found);
        }
        while let Some((before, after)) = rest.split_once("crate::") {
            rest = after;
            if before.ends_with(|c: char| c == '$' || c == '_' || c.is_alphanumeric()) {
                continue;
            }
            match after.strip_prefix('{') {
                Some(list) => braces = names_in_braces(list, 1, number, &mut found),
                None => found.push((number, leading_name(after))),
            }
        }
        for (_, after) in line
            .match_indices("super::super::")
            .map(|(at, m)| line.split_at(at + m.len()))
        {
            found.push((number, leading_name(after)));
        }
    }
    found
}

/// Collects the names at the first level of `crate::{..}`; the depth when the list goes on.
fn names_in_braces(
    text: &str,
    mut depth: usize,
    number: usize,
    found: &mut Vec<(usize, String)>,
) -> Option<usize> {
    let mut at_name = true;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return None,
            '}' => depth -= 1,
            ',' => at_name = depth == 1,
            _ if at_name && depth == 1 && c.is_alphabetic() => {
                found.push((number, leading_name(&text[at..])));
                at_name = false;
            }
            _ => {}
        }
    }
    Some(depth)
}

fn leading_name(text: &str) -> String {
    let part = |c: &char| *c == '_' || c.is_alphanumeric();
    text.chars().take_while(part).collect()
}

#[test]
fn only_the_disk_touches_the_file_system() {
    let mut complaints = Vec::new();
    for source in rust_sources() {
        let library =
            source.path.starts_with("core/src/") || source.path.starts_with("streams/src/");
        if !library || source.path == DISK {
            continue;
        }
        for (number, line) in source.code() {
            if ["std::fs", "rustix::fs", "tokio::fs"]
                .iter()
                .any(|name| line.contains(name))
            {
                let path = &source.path;
                complaints.push(format!("{path}:{number}: go through Env::storage ({DISK})"));
            }
        }
    }
    none(&complaints);
}

#[test]
fn lints_agree_between_crates() {
    let keys = |path: &Path| -> BTreeSet<String> {
        let text = fs::read_to_string(path).unwrap();
        let keys = text
            .lines()
            .take_while(|line| !line.starts_with("disallowed-"));
        keys.filter(|line| line.contains(" = "))
            .map(str::to_owned)
            .collect()
    };
    let shared = keys(&root().join("clippy.toml"));
    assert!(!shared.is_empty());
    for folder in ["core", "streams"] {
        let path = root().join(folder).join("clippy.toml");
        assert_eq!(
            keys(&path),
            shared,
            "{}: repeat the root's keys",
            path.display()
        );
    }
    for (folder, ..) in CRATE_EDGES {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{folder}/Cargo.toml: add `[lints]` with `workspace = true`"
        );
    }
}

#[test]
fn every_verb_of_the_dsl_has_an_example() {
    let mut missing = Vec::new();
    for source in rust_sources() {
        let verbs = ["builder", "grouped", "stream", "table"];
        if !verbs
            .iter()
            .any(|name| source.path == format!("streams/src/dsl/{name}.rs"))
        {
            continue;
        }
        let mut doc = String::new();
        for line in source.text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("pub fn ") {
                // A variant names its verb, and a constructor's type has the example.
                let variant = doc.starts_with(" [`") || name.starts_with("new(");
                if !variant && !doc.contains("```") {
                    missing.push(format!("{}: {name} has no example", source.path));
                }
            }
            match line.strip_prefix("///") {
                Some(text) => doc += text,
                None if line.starts_with("#[") => {}
                None => doc.clear(),
            }
        }
    }
    none(&missing);
}

#[test]
fn every_example_is_run_by_a_test() {
    let tests: Vec<Source> = rust_sources()
        .into_iter()
        .filter(|source| source.path.starts_with("tests/") && source.path != "tests/tidy.rs")
        .collect();
    let mut complaints = Vec::new();
    for name in examples() {
        let quoted = format!("\"{name}\"");
        if !tests.iter().any(|test| test.text.contains(&quoted)) {
            complaints.push(format!(
                "examples/{name}: add a test to tests/it that runs {quoted} and reads its output"
            ));
        }
    }
    none(&complaints);
}

/// The names of the examples: `examples/x.rs` and `examples/x/main.rs`.
fn examples() -> Vec<String> {
    let Ok(entries) = fs::read_dir(root().join("examples")) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_example = |path: &PathBuf| {
        path.extension().is_some_and(|e| e == "rs") || path.join("main.rs").is_file()
    };
    let stem = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    paths.filter(is_example).map(stem).collect()
}

#[test]
fn the_reader_of_paths_knows_each_spelling() {
    let source = Source {
        path: String::new(),
        text: "use crate::log::Log;\n\
               // crate::client in a comment\n\
               use crate::{error::{Error, Result}, types::Offset};\n\
               use crate::{\n    record::Batch,\n    env::{Clock, Env},\n};\n\
               let a = $crate::serdes::x(super::super::broker::y(), crate::storage::z());\n"
            .to_owned(),
    };
    let named: Vec<(usize, String)> = named_modules(&source);
    let named: Vec<(usize, &str)> = named.iter().map(|(line, name)| (*line, &**name)).collect();
    assert_eq!(
        named,
        [
            (1, "log"),
            (3, "error"),
            (3, "types"),
            (5, "record"),
            (6, "env"),
            (8, "storage"),
            (8, "broker")
        ]
    );
}
