//! Which program of the installed packages is the server, and how Python starts it.
//!
//! Enters: the console scripts that each distribution offers, and the command that `uvx` was given. Leaves: a command line
//! that needs no script file, since scripts carry the path of the machine that installed them. Refuses a command that
//! nothing offers, listing what there is.
//!
//! Source: PyPA's "Entry points specification" and `uvx`'s own choice: the package's script of that name, else the same
//! name from a dependency.

use std::collections::BTreeMap;

use super::PackageError;
use super::requirement::normalise;
use super::uvx_command::UvxCommand;

/// `name = module:attribute.path`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConsoleScript {
    pub(crate) name: String,
    module: String,
    attribute: String,
}

/// How the server is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Program {
    /// A function of a module.
    Script(ConsoleScript),
    /// `site-packages/bin/<name>`: an executable that a wheel brings.
    Binary(String),
    /// `site-packages/bin/<name>`: a Python file that a wheel brings.
    PythonFile(String),
}

/// What one distribution offers to start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) version: String,
    pub(crate) scripts: Vec<ConsoleScript>,
    pub(crate) binaries: Vec<String>,
    pub(crate) python_files: Vec<String>,
}

impl Offer {
    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .scripts
            .iter()
            .map(|script| script.name.as_str())
            .collect();
        names.extend(
            self.binaries
                .iter()
                .chain(&self.python_files)
                .map(String::as_str),
        );
        names.sort_unstable();
        names
    }

    fn program(&self, matches: impl Fn(&str) -> bool) -> Option<Program> {
        let script = self
            .scripts
            .iter()
            .find(|script| matches(&script.name))
            .cloned()
            .map(Program::Script);
        let binary = || {
            self.binaries
                .iter()
                .find(|name| matches(name))
                .cloned()
                .map(Program::Binary)
        };
        let file = || {
            self.python_files
                .iter()
                .find(|name| matches(name))
                .cloned()
                .map(Program::PythonFile)
        };
        script.or_else(binary).or_else(file)
    }
}

/// Reads the console scripts of an `entry_points.txt`; lines that are none are passed over, as installers do.
pub(crate) fn console_scripts(entry_points: &str) -> Vec<ConsoleScript> {
    section(entry_points, "console_scripts")
        .filter_map(|(name, target)| {
            let target = target.split('[').next().unwrap_or(target).trim();
            let (module, attribute) = target.split_once(':')?;
            let (module, attribute) = (module.trim(), attribute.trim());
            (is_dotted_name(module) && is_dotted_name(attribute)).then(|| ConsoleScript {
                name: name.to_owned(),
                module: module.to_owned(),
                attribute: attribute.to_owned(),
            })
        })
        .collect()
}

/// Names of all scripts that an installer makes launchers for.
pub(crate) fn launcher_names(entry_points: &str) -> Vec<String> {
    let console = section(entry_points, "console_scripts");
    console
        .chain(section(entry_points, "gui_scripts"))
        .map(|(name, _)| name.to_owned())
        .collect()
}

fn section<'a>(
    entry_points: &'a str,
    wanted: &'static str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let mut inside = false;
    entry_points.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(header) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            inside = header.trim() == wanted;
            return None;
        }
        if !inside || line.starts_with(['#', ';']) {
            return None;
        }
        let (name, target) = line.split_once('=')?;
        Some((name.trim(), target.trim()))
    })
}

fn is_dotted_name(name: &str) -> bool {
    name.split('.').all(|part| {
        part.starts_with(|c: char| c == '_' || c.is_alphabetic())
            && part.chars().all(|c| c == '_' || c.is_alphanumeric())
    })
}

/// The program that `uvx` would run.
///
/// Looked for in this order: the package's own of that exact name; its own of that name in another spelling; a
/// dependency's of that exact name; and, when no command was named besides the package, the only one that it offers.
pub(crate) fn choose(
    command: &UvxCommand,
    offers: &BTreeMap<String, Offer>,
) -> Result<Program, PackageError> {
    let wanted = command.executable.as_str();
    let own = offers.get(&command.package).cloned().unwrap_or_default();
    let others = || offers.iter().filter(|(name, _)| **name != command.package);
    let found = own
        .program(|name| name == wanted)
        .or_else(|| own.program(|name| normalise(name) == normalise(wanted)))
        .or_else(|| others().find_map(|(_, offer)| offer.program(|name| name == wanted)))
        .or_else(|| match own.names().as_slice() {
            [only] if !command.executable_is_explicit => own.program(|name| name == *only),
            _ => None,
        });
    if let Some(program) = found {
        return Ok(program);
    }
    let own_names = own.names();
    let offered = if own_names.is_empty() {
        let elsewhere: Vec<_> = others()
            .filter(|(_, o)| !o.names().is_empty())
            .map(|(name, o)| format!("`{name}` offers {}", listed(&o.names())))
            .collect();
        match elsewhere.is_empty() {
            true => ", nor any other; it is a library, not a server".to_owned(),
            false => format!(
                ", nor any other; of what is installed with it, {}. Name one with \"--from\", the package, the command",
                elsewhere.join("; ")
            ),
        }
    } else {
        format!(
            "; it offers {}. Name one: args = [\"--from\", \"{}\", \"{}\"]",
            listed(&own_names),
            command.package,
            own_names[0]
        )
    };
    Err(PackageError::NoEntryPoint {
        distribution: format!("{} {}", command.package, own.version),
        command: wanted.to_owned(),
        offered,
    })
}

fn listed(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The command line that starts `program` in the function; arguments of the user follow it.
///
/// What a console script does, without the script: its name is `argv[0]`, its function's result the exit status, and the
/// working directory is not searched for modules. `site_hooks`: the packages bring `.pth` files, which Python reads in
/// site directories only, not on PYTHONPATH.
pub(crate) fn command_line(python: &str, program: &Program, site_hooks: bool) -> Vec<String> {
    let mut code = String::from("import sys;sys.path[:]=[p for p in sys.path if p];");
    if site_hooks {
        code.push_str("import site;site.addsitedir(next(p for p in sys.path if p.endswith('site-packages')));");
    }
    match program {
        Program::Script(script) => {
            let (first, rest) = script.attribute.split_once('.').unwrap_or((&script.attribute, ""));
            let dot = if rest.is_empty() { "" } else { "." };
            code.push_str(&format!(
                "sys.argv[0]={};from {} import {first} as m;sys.exit(m{dot}{rest}())",
                literal(&script.name),
                script.module
            ));
        }
        Program::Binary(name) => code.push_str(&format!(
            "import os;f=next(f for f in (p+'/bin/'+{0} for p in sys.path) if os.path.isfile(f));os.execv(f,[{0},*sys.argv[1:]])",
            literal(name)
        )),
        Program::PythonFile(name) => code.push_str(&format!(
            "import os,runpy;f=next(f for f in (p+'/bin/'+{} for p in sys.path) if os.path.isfile(f));\
             runpy.run_path(f,run_name='__main__')",
            literal(name)
        )),
    }
    vec![python.to_owned(), "-c".to_owned(), code]
}

/// `text` as a string literal of Python.
fn literal(text: &str) -> String {
    let escaped: String = text
        .chars()
        .flat_map(|c| match c {
            '\\' | '\'' => vec!['\\', c],
            _ => vec![c],
        })
        .collect();
    format!("'{escaped}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(list: &[(&str, &str)]) -> BTreeMap<String, Offer> {
        let offer = |text: &str| Offer {
            version: "1".to_owned(),
            scripts: console_scripts(text),
            ..Offer::default()
        };
        list.iter()
            .map(|(name, text)| ((*name).to_owned(), offer(text)))
            .collect()
    }

    /// Arguments of `uvx`; distributions with their entry points; `name=module:attribute` of the choice.
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

    fn chosen(args: &[&str], list: &[(&str, &str)]) -> Result<String, String> {
        let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let command = UvxCommand::parse(&args, 0).expect("a valid command line");
        match choose(&command, &offers(list)) {
            Ok(Program::Script(script)) => Ok(format!(
                "{}={}:{}",
                script.name, script.module, script.attribute
            )),
            Ok(other) => Ok(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_command_is_the_one_that_uvx_would_run() {
        let time = "[console_scripts]\nmcp-server-time = mcp_server_time:main\n";
        let two = "[console_scripts]\nzeta = z:main\nalpha = a.b:cli.run [fast]\n[gui_scripts]\nwin = g:main\n";
        let one = "[console_scripts]\nserve=srv:main\n";
        let other = "[console_scripts]\ndep-tool = dep:tool\n";
        let table: [Case; 8] = [
            (
                &["mcp-server-time"],
                &[("mcp-server-time", time)],
                "mcp-server-time=mcp_server_time:main",
            ),
            (
                &["MCP_Server.Time"],
                &[("mcp-server-time", time)],
                "mcp-server-time=mcp_server_time:main",
            ),
            (
                &["--from", "two", "alpha"],
                &[("two", two)],
                "alpha=a.b:cli.run",
            ),
            (
                &["--from", "two[x]==1", "zeta"],
                &[("two", two)],
                "zeta=z:main",
            ),
            (&["one"], &[("one", one), ("two", two)], "serve=srv:main"),
            (
                &["--from", "one", "dep-tool"],
                &[("dep", other), ("one", one)],
                "dep-tool=dep:tool",
            ),
            (
                &["--from", "one", "serve"],
                &[("a", "[console_scripts]\nserve = wrong:main"), ("one", one)],
                "serve=srv:main",
            ),
            (
                &["dep-tool"],
                &[("dep-tool", ""), ("dep", other)],
                "dep-tool=dep:tool",
            ),
        ];
        for (args, list, expected) in table {
            assert_eq!(chosen(args, list).as_deref(), Ok(expected), "{args:?}");
        }
    }

    #[test]
    fn a_command_that_is_not_offered_lists_what_is() {
        let two = "[console_scripts]\nzeta = z:main\nalpha = a:main\n";
        assert_eq!(
            chosen(&["two"], &[("two", two)]).unwrap_err(),
            "`two 1` offers no command `two`; it offers `alpha`, `zeta`. Name one: args = [\"--from\", \"two\", \"alpha\"]"
        );
        assert_eq!(
            chosen(
                &["--from", "one", "nope"],
                &[("one", "[console_scripts]\nserve = s:m")]
            )
            .unwrap_err(),
            "`one 1` offers no command `nope`; it offers `serve`. Name one: args = [\"--from\", \"one\", \"serve\"]"
        );
        assert_eq!(
            chosen(&["lib"], &[("lib", ""), ("two", two)]).unwrap_err(),
            "`lib 1` offers no command `lib`, nor any other; of what is installed with it, `two` offers `alpha`, `zeta`. Name one \
             with \"--from\", the package, the command"
        );
        assert_eq!(
            chosen(&["lib"], &[("lib", "")]).unwrap_err(),
            "`lib 1` offers no command `lib`, nor any other; it is a library, not a server"
        );
    }

    #[test]
    fn a_command_line_names_the_script_and_its_function() {
        let script = |text: &str| Program::Script(console_scripts(text).remove(0));
        assert_eq!(
            command_line(
                "python3.13",
                &script("[console_scripts]\nit's = a.b:Cli.run"),
                false
            ),
            [
                "python3.13",
                "-c",
                "import sys;sys.path[:]=[p for p in sys.path if p];sys.argv[0]='it\\'s';from a.b import Cli as \
                 m;sys.exit(m.run())"
            ]
        );
    }

    #[test]
    fn targets_that_are_no_names_are_not_offered() {
        let odd =
            "[console_scripts]\na = os:system('x')\nb = no_attribute\nc = 1x:main\nd = ok:main\n";
        assert_eq!(
            console_scripts(odd)
                .iter()
                .map(|s| s.name.as_str())
                .collect::<Vec<_>>(),
            ["d"]
        );
    }
}
