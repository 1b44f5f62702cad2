//! A command line and a working directory in, what runs it out: a managed Python or Node runtime, a file of the package, or a program
//! that the operating system or a layer brings. Pure.
//!
//! Refuses what can be known not to be there: paths of the machine that the configuration was written on, programs that Lambda's plain
//! runtime does not have, relative paths that lead out of the package.

use super::PackageError;
use super::error::Attribute;

/// Where Lambda unpacks the package.
pub(crate) const TASK_ROOT: &str = "/var/task";

/// What runs the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Runner {
    /// `python3.12` asks for 12, `python` for none.
    Python {
        minor: Option<u8>,
    },
    Node,
    /// The program itself.
    Program(Place),
}

/// Where a path leads in the function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Into the package; relative to its top, free of `.` and `..`.
    Package(String),
    /// Somewhere that the operating system or a layer brings, or on PATH: nobody here can look there.
    Elsewhere,
}

/// Top directories that exist in a function. Any other absolute path is one of the machine where it was written.
///
/// Source: AWS Lambda Developer Guide, "Lambda runtimes" and "Working with layers"; Filesystem Hierarchy Standard 3.0.
const KNOWN_TOPS: [&str; 14] = [
    "bin", "dev", "etc", "lib", "lib64", "opt", "proc", "run", "sbin", "sys", "tmp", "usr", "var",
    "mnt",
];

/// Programs that are sure to be found on PATH of Lambda's plain runtime without a layer: the shell, and what the POSIX utilities are
/// called that a start script is made of.
const SYSTEM_PROGRAMS: [&str; 12] = [
    "awk", "bash", "cat", "echo", "env", "false", "grep", "nice", "sed", "sh", "test", "true",
];

/// Reads `command`. `layered`: the function has layers, which may bring programs.
pub(crate) fn runner(
    command: &str,
    cwd: Option<&str>,
    layered: bool,
) -> Result<Runner, PackageError> {
    let at = Attribute::whole("command");
    if let Some(interpreter) = interpreter(command)? {
        return Ok(interpreter);
    }
    if !command.contains('/') {
        if command.contains('\\') {
            return Err(invalid(
                at,
                format!(
                    "`{command}` is a path of Windows; functions run Linux, so write `/` between names"
                ),
            ));
        }
        if layered || SYSTEM_PROGRAMS.contains(&command) {
            return Ok(Runner::Program(Place::Elsewhere));
        }
        return Err(PackageError::UnsupportedCommand {
            command: command.to_owned(),
        });
    }
    place(command, cwd, at).map(Runner::Program)
}

/// The managed runtime that a name such as `python3.13` or `/usr/bin/node` stands for.
fn interpreter(command: &str) -> Result<Option<Runner>, PackageError> {
    let mut names: Vec<&str> = command.split(['/', '\\']).collect();
    let name = names.pop().unwrap_or(command);
    // `./python` and `/var/task/bin/python` are files of the package; `.venv/bin/python` and `/usr/bin/python` are what a README or an
    // editor's settings say for the interpreter at hand.
    let at_hand = names.is_empty()
        || names.iter().any(|part| matches!(*part, ".venv" | "venv"))
        || command.starts_with("/opt/homebrew/")
        || command.starts_with('/')
            && !command.starts_with(&format!("{TASK_ROOT}/"))
            && !command.starts_with("/opt/");
    if !at_hand {
        return Ok(None);
    }
    let name = name.strip_suffix(".exe").unwrap_or(name);
    if name == "node" || name == "nodejs" {
        return Ok(Some(Runner::Node));
    }
    let Some(version) = name.strip_prefix("python") else {
        return Ok(None);
    };
    let minor = match version {
        "" | "3" => None,
        _ => match version.strip_prefix("3.").map(str::parse) {
            Some(Ok(minor)) => Some(minor),
            _ if version.starts_with(|c: char| c.is_ascii_digit()) => {
                return Err(invalid(
                    Attribute::whole("command"),
                    format!(
                        "Lambda has no runtime for `{name}`; write `python3` or, for example, `python3.13`"
                    ),
                ));
            }
            // `python-something` is another program.
            _ => return Ok(None),
        },
    };
    Ok(Some(Runner::Python { minor }))
}

/// Where `path` leads for a process in `cwd`.
///
/// # Errors
///
/// [`PackageError::Invalid`] at `at` for paths that can be known to lead nowhere.
pub(crate) fn place(path: &str, cwd: Option<&str>, at: Attribute) -> Result<Place, PackageError> {
    let relative = !path.starts_with('/');
    let full = match (relative, cwd) {
        (false, _) => path.to_owned(),
        (true, None) => format!("{TASK_ROOT}/{path}"),
        (true, Some(cwd)) if cwd.starts_with('/') => format!("{cwd}/{path}"),
        (true, Some(cwd)) => format!("{TASK_ROOT}/{cwd}/{path}"),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in full.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            _ => parts.push(part),
        }
    }
    if let ["var", "task", inside @ ..] = parts.as_slice() {
        return Ok(Place::Package(inside.join("/")));
    }
    if relative {
        return Err(invalid(
            at,
            match cwd {
                Some(cwd) if cwd.starts_with('/') => format!(
                    "`{path}` is looked for in `{cwd}`, the working directory (`cwd`), where no file of the package is; write `{TASK_ROOT}/…`"
                ),
                _ => format!(
                    "`{path}` leads out of the package, which is all that a function has of `source_dir`"
                ),
            },
        ));
    }
    if !parts.first().is_some_and(|top| KNOWN_TOPS.contains(top)) {
        return Err(invalid(
            at,
            format!(
                "`{path}` is a path of another machine, not of a Lambda function; put the file into the folder that `source_dir` names and write its \
                 path in that folder"
            ),
        ));
    }
    Ok(Place::Elsewhere)
}

fn invalid(attribute: Attribute, reason: String) -> PackageError {
    PackageError::Invalid { attribute, reason }
}

/// The file that an interpreter is told to run, and which element of `args` names it; `None` when it runs something else (a module,
/// a text, its standard input) or when the command line cannot be read.
pub(crate) fn script<'a>(runner: &Runner, args: &'a [String]) -> Option<(usize, &'a str)> {
    // Options whose value is an element of its own, and options after which no script follows.
    let (with_value, instead): (&[&str], &[&str]) = match runner {
        Runner::Python { .. } => (
            &["-W", "-X", "--check-hash-based-pycs"],
            &["-m", "-c", "-", "-h", "-V", "--help", "--version"],
        ),
        Runner::Node => (
            &[
                "-r",
                "--require",
                "--import",
                "--loader",
                "--experimental-loader",
                "-C",
                "--conditions",
                "--env-file",
            ],
            &[
                "-e",
                "--eval",
                "-p",
                "--print",
                "-",
                "-i",
                "-h",
                "-v",
                "--help",
                "--version",
                "--test",
                "--run",
            ],
        ),
        Runner::Program(_) => return None,
    };
    let mut index = 0;
    while let Some(word) = args.get(index) {
        if word == "--" {
            index += 1;
            return args.get(index).map(|word| (index, word.as_str()));
        }
        if !word.starts_with('-') {
            return Some((index, word));
        }
        let name = word.split('=').next().unwrap_or(word);
        // `-mmodule`, and letters that are joined: `-um module`.
        let joined = matches!(runner, Runner::Python { .. })
            && !word.starts_with("--")
            && word.contains(['m', 'c'])
            && !word.starts_with("-W")
            && !word.starts_with("-X");
        if instead.contains(&name) || joined {
            return None;
        }
        index += if with_value.contains(&word.as_str()) {
            2
        } else {
            1
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(command: &str) -> String {
        match runner(command, None, false) {
            Ok(Runner::Python { minor: None }) => "python".to_owned(),
            Ok(Runner::Python { minor: Some(minor) }) => format!("python 3.{minor}"),
            Ok(Runner::Node) => "node".to_owned(),
            Ok(Runner::Program(Place::Package(path))) => format!("package: {path}"),
            Ok(Runner::Program(Place::Elsewhere)) => "elsewhere".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_command_names_a_runtime_a_file_of_the_package_or_a_program_of_the_system() {
        for (command, expected) in [
            ("python", "python"),
            ("python3", "python"),
            ("python3.12", "python 3.12"),
            ("/usr/bin/python3", "python"),
            ("/opt/homebrew/bin/python3.13", "python 3.13"),
            (".venv/bin/python", "python"),
            (r"C:\app\.venv\Scripts\python.exe", "python"),
            ("node", "node"),
            ("/usr/local/bin/node", "node"),
            ("./server", "package: server"),
            ("bin/./x/../server", "package: bin/server"),
            ("/var/task/bin/server", "package: bin/server"),
            ("./python", "package: python"),
            ("/var/task/bin/python3", "package: bin/python3"),
            ("/opt/bin/server", "elsewhere"),
            ("/usr/bin/env", "elsewhere"),
            ("bash", "elsewhere"),
        ] {
            assert_eq!(named(command), expected, "{command}");
        }
    }
}
