//! Circles between the files of a crate: files that use each other, over however many others.
//!
//! Good enough for text that rustfmt has laid out, without a parser: `use` and paths that begin with `crate`, `self`, `super` or
//! a child are followed through re-exports to the file that defines the name. A file may use its parents and children. Code for
//! tests alone is left out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use crate::tokens::{Item, items};

/// A module by its names from the crate's root.
type Module = Vec<String>;

/// The shortest circle of each group of files, as `a.rs -> b.rs -> a.rs`.
///
/// # Panics
/// When a source file below the folder cannot be read.
#[must_use]
pub fn circles(src: &Path) -> Vec<String> {
    let modules = Modules::read(src);
    let uses: BTreeMap<&Module, BTreeSet<Module>> =
        modules.0.iter().map(|(module, file)| (module, modules.uses(module, &file.items))).collect();
    let mut circles: Vec<Vec<&Module>> = Vec::new();
    for start in uses.keys() {
        // A group is known by any of its files.
        if circles
            .iter()
            .flatten()
            .any(|known| path(&uses, known, start).is_some() && path(&uses, start, known).is_some())
        {
            continue;
        }
        circles.extend(path(&uses, start, start));
    }
    let name = |module: &&Module| modules.0[*module].path.display().to_string();
    circles.iter().map(|circle| circle.iter().map(name).collect::<Vec<_>>().join(" -> ")).collect()
}

/// The shortest way from one module to another, of at least one step.
fn path<'a>(uses: &BTreeMap<&'a Module, BTreeSet<Module>>, from: &Module, to: &Module) -> Option<Vec<&'a Module>> {
    let (from, _) = uses.get_key_value(from)?;
    let mut ways = VecDeque::from([vec![*from]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in &uses[way.last()?] {
            let (next, _) = uses.get_key_value(next)?;
            let longer = || way.iter().copied().chain([*next]).collect();
            if *next == to {
                return Some(longer());
            }
            if seen.insert(*next) {
                ways.push_back(longer());
            }
        }
    }
    None
}

/// A source file, its path from the crate's `src`.
struct Source {
    path: PathBuf,
    items: Vec<Item>,
}

struct Modules(BTreeMap<Module, Source>);

impl Modules {
    fn read(src: &Path) -> Self {
        let mut modules = BTreeMap::new();
        let mut folders = vec![src.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a folder of sources") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let items = items(&std::fs::read_to_string(&path).expect("a source file"));
                    let path = path.strip_prefix(src).expect("a path below src").to_owned();
                    modules.insert(module(&path), Source { path, items });
                }
            }
        }
        let tests: Vec<Module> = modules.iter().flat_map(|(module, file)| test_modules(module, &file.items)).collect();
        modules.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        Self(modules)
    }

    /// The modules that this one uses, but for its parents and children.
    fn uses(&self, module: &Module, items: &[Item]) -> BTreeSet<Module> {
        let used = items.iter().filter_map(|item| match item {
            Item::Path(path) => self.defining(&self.absolute(module, path)?, 0),
            _ => None,
        });
        used.filter(|used| !used.starts_with(module) && !module.starts_with(used)).collect()
    }

    /// A path from the crate's root; `None` where it leads out of the crate.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module, rest].concat()),
            "super" => {
                let ups = 1 + rest.iter().take_while(|name| *name == "super").count();
                let base = module.get(..module.len().checked_sub(ups)?)?;
                Some([base, &path[ups..]].concat())
            }
            child => {
                let child = [&module[..], &[child.to_owned()]].concat();
                self.0.contains_key(&child).then(|| [child, rest.to_vec()].concat())
            }
        }
    }

    /// The module that defines what a path names.
    fn defining(&self, path: &[String], depth: usize) -> Option<Module> {
        let length = (0..=path.len()).rev().find(|&length| self.0.contains_key(&path[..length]))?;
        let (module, rest) = (path[..length].to_vec(), &path[length..]);
        let exported = |name: &String| {
            self.0[&module].items.iter().find_map(|item| match item {
                Item::Export(exported, path) if exported == name => self.absolute(&module, path),
                _ => None,
            })
        };
        // A name that is defined under itself leads nowhere else.
        match rest.first().and_then(exported).filter(|_| depth < 6) {
            Some(exported) => self.defining(&[exported, rest[1..].to_vec()].concat(), depth + 1),
            None => Some(module),
        }
    }
}

/// The modules whose declarations are for tests alone.
fn test_modules(module: &Module, items: &[Item]) -> Vec<Module> {
    let test = |item: &Item| match item {
        Item::TestModule(name) => Some([&module[..], std::slice::from_ref(name)].concat()),
        _ => None,
    };
    items.iter().filter_map(test).collect()
}

fn module(path: &Path) -> Module {
    let mut names: Module = path.with_extension("").iter().map(|name| name.to_string_lossy().into_owned()).collect();
    if names.last().is_some_and(|name| ["lib", "main", "mod"].contains(&name.as_str())) {
        names.pop();
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        circles(folder.path())
    }

    #[test]
    fn a_circle_is_found_through_a_re_export_and_a_path_in_code() {
        let lib = ("lib.rs", "mod a;\nmod b;\nmod c;\npub use b::{B as Bee, other};\n");
        let files = [
            lib,
            ("a.rs", "use crate::{\n    Bee,\n    c::C,\n};\npub struct A;\n"),
            ("b.rs", "pub struct B;\npub fn other() -> super::a::A {\n    super::a::A\n}\n"),
            ("c.rs", "pub struct C;\n"),
        ];
        assert_eq!(found(&files), ["a.rs -> b.rs -> a.rs"]);
    }

    #[test]
    fn parents_children_comments_texts_and_tests_make_no_circle() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\nuse a::A;\npub struct Root;\n"),
            ("a/mod.rs", "mod child;\nuse child::Child;\nuse crate::Root;\nuse crate::b::B;\npub struct A;\n"),
            ("a/child.rs", "use super::A;\npub struct Child;\n"),
            (
                "b.rs",
                "// crate::a::A\npub struct B;\nconst TEXT: &str = \"crate::a::A\";\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n",
            ),
        ];
        assert_eq!(found(&files), [""; 0]);
        let tested = [
            ("lib.rs", "mod a;\n#[cfg(test)]\nmod testing;\n"),
            ("a.rs", "#[cfg(test)]\nuse crate::testing::T;\npub struct A;\n"),
            ("testing.rs", "use crate::a::A;\npub struct T;\n"),
        ];
        assert_eq!(found(&tested), [""; 0]);
    }
}
