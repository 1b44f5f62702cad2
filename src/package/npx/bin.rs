//! Which program of the installed packages is the server, and how it is started without npm.
//!
//! Enters: what each package offers to start (`bin` of its package.json), the command that `npx` was given, the first line of the
//! program. Leaves: a command line. Refuses a package that offers nothing or several things of which none is meant, and programs
//! that need an interpreter which a Node runtime does not have.
//!
//! Source: npm documentation, "package.json" (`bin`) and "npm exec": the only program, else the one that is called as the package
//! without its scope; with `--package`, whatever is called so among what is installed.

use std::collections::BTreeMap;

use serde_json::Value;

use super::NpxSource;
use super::spec::unscoped;
use super::tree::path_of;
use crate::package::{PackageError, elf};

/// What one package offers to start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bins {
    version: String,
    /// Command to file, relative to the package.
    commands: BTreeMap<String, String>,
}

impl Bins {
    pub(crate) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Reads `bin`: a file, which is called as the package, or a map.
    pub(crate) fn read(package: &str, version: &str, bin: &Value) -> Self {
        let mut commands = BTreeMap::new();
        match bin {
            Value::String(file) => {
                commands.insert(unscoped(package).to_owned(), file.as_str());
            }
            Value::Object(map) => {
                for (command, file) in map {
                    if let Some(file) = file.as_str() {
                        commands.insert(unscoped(command).to_owned(), file);
                    }
                }
            }
            _ => {}
        }
        let inside = |file: &str| {
            let mut parts: Vec<&str> = Vec::new();
            for part in file.split(['/', '\\']) {
                match part {
                    "" | "." => {}
                    // As npm has it: nothing leads out of the package.
                    ".." => _ = parts.pop(),
                    part => parts.push(part),
                }
            }
            parts.join("/")
        };
        Self {
            version: version.to_owned(),
            commands: commands
                .into_iter()
                .map(|(command, file)| (command, inside(file)))
                .filter(|(command, file)| !command.is_empty() && !file.is_empty())
                .collect(),
        }
    }

    /// The program that is meant by the package alone.
    fn own(&self, package: &str) -> Option<&str> {
        let mut files = self.commands.values();
        match files.next() {
            Some(only) if files.all(|file| file == only) => Some(only),
            _ => self.commands.get(unscoped(package)).map(String::as_str),
        }
    }

    fn listed(&self) -> String {
        self.commands
            .keys()
            .map(|command| format!("`{command}`"))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// The file that is the server, by its path in the package for Lambda.
pub(crate) fn choose(
    source: &NpxSource,
    bins: &BTreeMap<String, Bins>,
) -> Result<String, PackageError> {
    let none = Bins::default();
    let named = source
        .command
        .packages
        .iter()
        .map(|spec| spec.name.as_str());
    let main = source.package();
    let own = bins.get(main).unwrap_or(&none);
    let at = |package: &str, file: &str| format!("{}/{file}", path_of(&[package.to_owned()]));
    let Some((command, _)) = &source.command.executable else {
        return match own.own(main) {
            Some(file) => Ok(at(main, file)),
            None => Err(PackageError::NoEntryPoint {
                distribution: format!("{main} {}", own.version),
                command: unscoped(main).to_owned(),
                offered: match own.commands.keys().next() {
                    None => ", nor any other; it is a library, not a server".to_owned(),
                    Some(first) => format!(
                        "; it offers {}. Name one: args = [\"--package\", \"{main}\", \"{first}\"]",
                        own.listed()
                    ),
                },
            }),
        };
    };
    let others = bins.keys().map(String::as_str);
    let found = named.chain(others).find_map(|package| {
        let file = bins.get(package)?.commands.get(command)?;
        Some(at(package, file))
    });
    found.ok_or_else(|| {
        let offering: Vec<_> = source
            .command
            .packages
            .iter()
            .filter_map(|spec| Some((&spec.name, bins.get(&spec.name)?)))
            .filter(|(_, bins)| !bins.commands.is_empty())
            .map(|(package, bins)| format!("`{package}` offers {}", bins.listed()))
            .collect();
        PackageError::NoEntryPoint {
            distribution: format!("{main} {}", own.version),
            command: command.clone(),
            offered: match offering.is_empty() {
                true => {
                    ", nor does any other package that is named, which are all libraries".to_owned()
                }
                false => format!("; {}", offering.join("; ")),
            },
        }
    })
}

/// The command line that starts `file`, whose first bytes are `head`; arguments of the user follow it.
///
/// The working directory may be another, so the path is absolute.
pub(crate) fn command_line(file: &str, head: &[u8]) -> Result<Vec<String>, PackageError> {
    let path = format!("{TASK_ROOT}/{file}");
    if elf::is_elf(head) {
        return Ok(vec![path]);
    }
    let text = String::from_utf8_lossy(head);
    let first = text.lines().next().unwrap_or_default();
    let Some(line) = first.strip_prefix("#!") else {
        return Ok(vec![NODE.to_owned(), path]);
    };
    let mut words = line.split_whitespace().map(str::to_owned);
    let program = words.next().unwrap_or_default();
    // `#!/usr/bin/env -S NAME=value node --flag`
    let mut words: Vec<String> = match program.rsplit('/').next() {
        Some("env") => words
            .skip_while(|word| word.starts_with('-') || word.contains('='))
            .collect(),
        _ => std::iter::once(program).chain(words).collect(),
    };
    let program = match words.is_empty() {
        true => String::new(),
        false => words.remove(0),
    };
    match program.rsplit('/').next().unwrap_or_default() {
        "node" | "nodejs" => {
            let mut argv = vec![NODE.to_owned()];
            argv.extend(words);
            argv.push(path);
            Ok(argv)
        }
        // Amazon Linux has these; the kernel reads the first line.
        "sh" | "bash" => Ok(vec![path]),
        other => Err(PackageError::ForeignInterpreter {
            file: file.to_owned(),
            interpreter: other.to_owned(),
        }),
    }
}

/// Bytes of a program that [`command_line`] reads at most: the kernel's own limit for a first line.
pub(crate) const FIRST_LINE: usize = 256;

/// Node runtimes have it on PATH.
const NODE: &str = "node";

/// Where Lambda unpacks the package.
const TASK_ROOT: &str = "/var/task";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::package::{Architecture, ServerSpec, Source, plan_source};

    fn npx(args: &[&str]) -> NpxSource {
        let spec = ServerSpec {
            command: "npx".to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            packages: Vec::new(),
            runtime: None,
            architecture: Architecture::X86_64,
            allow_scripts: None,
            compile_bytecode: false,
            cwd: None,
            source_dir: None,
            source_excludes: Vec::new(),
            layered: false,
        };
        match plan_source(&spec).expect("a valid command line") {
            Source::Npx(source) => source,
            other => panic!("{other:?}"),
        }
    }

    fn chosen(args: &[&str], packages: &[(&str, Value)]) -> Result<String, String> {
        let bins = packages
            .iter()
            .map(|(name, bin)| ((*name).to_owned(), Bins::read(name, "1.0.0", bin)))
            .collect();
        choose(&npx(args), &bins).map_err(|error| error.to_string())
    }

    #[test]
    fn the_program_is_the_one_that_npx_would_run() {
        let own = ("@s/srv", json!("./cli.js"));
        let two = ("two", json!({"two": "a.js", "three": "b.js"}));
        let same = ("same", json!({"x": "./dist/x.js", "y": "dist/x.js"}));
        let odd = ("odd", json!({"server": "../../dist//run.mjs"}));
        let packages = [own, two, same, odd];
        for (args, expected) in [
            (&["@s/srv"][..], "node_modules/@s/srv/cli.js"),
            (&["two"], "node_modules/two/a.js"),
            (&["same"], "node_modules/same/dist/x.js"),
            (&["odd"], "node_modules/odd/dist/run.mjs"),
            (&["-p", "two", "three"], "node_modules/two/b.js"),
            (
                &["-p", "@s/srv", "-p", "two", "two"],
                "node_modules/two/a.js",
            ),
            (&["-p", "@s/srv", "srv"], "node_modules/@s/srv/cli.js"),
            // Of a package that another one brought.
            (&["-p", "two", "server"], "node_modules/odd/dist/run.mjs"),
        ] {
            assert_eq!(chosen(args, &packages).as_deref(), Ok(expected), "{args:?}");
        }
    }

    #[test]
    fn a_program_that_is_not_offered_lists_what_is() {
        let packages = [
            ("@s/two", json!({"alpha": "a.js", "beta": "b.js"})),
            ("lib", Value::Null),
        ];
        for (args, expected) in [
            (
                &["@s/two"][..],
                "`@s/two 1.0.0` offers no command `two`; it offers `alpha`, `beta`. Name one: args = [\"--package\", \"@s/two\", \
                 \"alpha\"]",
            ),
            (
                &["lib"],
                "`lib 1.0.0` offers no command `lib`, nor any other; it is a library, not a server",
            ),
            (
                &["-p", "@s/two", "-p", "lib", "gamma"],
                "`@s/two 1.0.0` offers no command `gamma`; `@s/two` offers `alpha`, `beta`",
            ),
            (
                &["-p", "lib", "gamma"],
                "`lib 1.0.0` offers no command `gamma`, nor does any other package that is named, which are all libraries",
            ),
        ] {
            assert_eq!(chosen(args, &packages).expect_err("none"), expected);
        }
    }

    #[test]
    fn a_program_is_started_as_its_first_line_says() {
        for (head, expected) in [
            (&b"#!/usr/bin/env node\nrun()\n"[..], "node /var/task/f"),
            (b"#!/usr/bin/env node\r\nrun()\r\n", "node /var/task/f"),
            (
                b"#!/usr/local/bin/node --no-warnings\n",
                "node --no-warnings /var/task/f",
            ),
            (
                b"#!/usr/bin/env -S A=b node --max-old-space-size=400\n",
                "node --max-old-space-size=400 /var/task/f",
            ),
            (b"import x from 'y'\n", "node /var/task/f"),
            (b"", "node /var/task/f"),
            (b"#!/bin/sh\nexec node x\n", "/var/task/f"),
            (b"\x7fELF\x02", "/var/task/f"),
        ] {
            let argv = command_line("f", head).expect("a command line");
            assert_eq!(argv.join(" "), expected);
        }
        let error =
            command_line("node_modules/x/cli.ts", b"#!/usr/bin/env bun\n").expect_err("bun");
        assert_eq!(
            error.to_string(),
            "`node_modules/x/cli.ts` runs under `bun`, which Lambda's Node runtimes do not have. Use a server that runs under `node`"
        );
    }
}
