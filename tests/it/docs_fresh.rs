//! The pages below `docs/` are those that the schemas and the examples make.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use mcplambda::plugin::docs::pages;
use mcplambda::provider::Mcplambda;

/// The folders of `docs/` in which every page is generated. Guides are written by hand.
const GENERATED: [&str; 3] = ["data-sources", "functions", "resources"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All generated pages as they are on disk.
fn pages_on_disk(docs: &Path) -> BTreeMap<String, String> {
    let mut names = vec!["index.md".to_owned()];
    for folder in GENERATED {
        for entry in fs::read_dir(docs.join(folder)).into_iter().flatten() {
            let name = entry.expect("a readable folder").file_name();
            names.push(format!("{folder}/{}", name.to_string_lossy()));
        }
    }
    let read = |name: String| {
        let text = fs::read_to_string(docs.join(&name)).ok()?;
        Some((name, text))
    };
    names.into_iter().filter_map(read).collect()
}

#[test]
fn the_pages_are_what_the_schema_says() {
    let example = |path: &str| fs::read_to_string(root().join("examples").join(path)).ok();
    let wanted = pages(&Mcplambda, example).expect("every page can be written");
    let docs = root().join("docs");

    if std::env::var_os("MCPLAMBDA_UPDATE_DOCS").is_some_and(|value| value == "1") {
        for stale in pages_on_disk(&docs)
            .keys()
            .filter(|name| !wanted.contains_key(*name))
        {
            fs::remove_file(docs.join(stale)).expect("a page can be removed");
        }
        for (name, text) in &wanted {
            let path = docs.join(name);
            fs::create_dir_all(path.parent().expect("inside docs/")).expect("a folder");
            fs::write(path, text).expect("a page can be written");
        }
    }

    let found = pages_on_disk(&docs);
    let names = |pages: &BTreeMap<String, String>| pages.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&found), names(&wanted), "run `make docs`");
    for (name, text) in &wanted {
        assert!(
            found[name] == *text,
            "docs/{name} is not what the schema says; run `make docs`"
        );
    }
}
