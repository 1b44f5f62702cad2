//! A wheel's file name in, how well it fits a runtime out. Refuses nothing: a wheel that does not fit has no rank.
//!
//! The order is the one of `packaging.tags` (PyPA's specification "Platform compatibility tags"), which pip and uv share:
//! this interpreter's own ABI, then the stable ABI from new to old, then pure Python; the newest platform first.

use std::cmp::Reverse;

use super::Architecture;
use super::runtime::{PythonRuntime, machine};

/// How well a wheel fits; the smallest is what an installer takes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    interpreter: usize,
    platform: usize,
    /// Of two builds of one wheel, the later.
    build: Reverse<(u64, String)>,
}

/// `None` when the wheel does not run there, or `file_name` is none of a wheel.
pub(crate) fn rank(
    file_name: &str,
    python: PythonRuntime,
    architecture: Architecture,
) -> Option<Rank> {
    let stem = file_name.strip_suffix(".whl")?;
    let mut fields: Vec<_> = stem.split('-').collect();
    let platforms = fields.pop()?;
    let abis = fields.pop()?;
    let interpreters = fields.pop()?;
    let build = match fields.as_slice() {
        [_, _] => (0, String::new()),
        [_, _, build] => {
            let digits = build
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(build.len());
            (build[..digits].parse().ok()?, build[digits..].to_owned())
        }
        _ => return None,
    };
    let mut best: Option<(usize, usize)> = None;
    for interpreter in interpreters.split('.') {
        for abi in abis.split('.') {
            for platform in platforms.split('.') {
                let fit = interpreter_rank(interpreter, abi, platform == "any", python.minor)
                    .zip(platform_rank(platform, python.glibc, architecture));
                best = match (best, fit) {
                    (Some(best), Some(fit)) => Some(best.min(fit)),
                    (best, fit) => best.or(fit),
                };
            }
        }
    }
    let (interpreter, platform) = best?;
    Some(Rank {
        interpreter,
        platform,
        build: Reverse(build),
    })
}

fn interpreter_rank(interpreter: &str, abi: &str, any_platform: bool, minor: u8) -> Option<usize> {
    let own = format!("cp3{minor}");
    let newest = usize::from(minor);
    // Group sizes: exact ABI (2), stable ABI (one per minor), pure Python per platform, pure Python.
    const STABLE: usize = 2;
    let pure_on_platform = STABLE + newest + 1;
    let pure = pure_on_platform + newest + 2;
    if interpreter == own && abi == own && !any_platform {
        return Some(0);
    }
    if interpreter == own && abi == "none" {
        return Some(if any_platform { pure } else { 1 });
    }
    if abi == "abi3" && !any_platform {
        let since: usize = interpreter.strip_prefix("cp3")?.parse().ok()?;
        return (2..=newest)
            .contains(&since)
            .then(|| STABLE + newest - since);
    }
    if abi != "none" {
        return None;
    }
    let base = if any_platform {
        pure + 1
    } else {
        pure_on_platform
    };
    match interpreter.strip_prefix("py3") {
        // `py313`, then `py3`, then the older ones.
        Some("") => Some(base + 1),
        Some(since) => {
            let since: usize = since.parse().ok()?;
            (since <= newest).then(|| {
                if since == newest {
                    base
                } else {
                    base + 1 + newest - since
                }
            })
        }
        None => None,
    }
}

/// 0 is the newest platform that runs there.
fn platform_rank(platform: &str, glibc: u8, architecture: Architecture) -> Option<usize> {
    if platform == "any" {
        return Some(0);
    }
    let kind = platform
        .strip_suffix(machine(architecture))?
        .strip_suffix('_')?;
    let newest = usize::from(glibc);
    // PEP 600's legacy names follow the number that they stand for.
    let (version, legacy) = match kind {
        "manylinux2014" => (17, 1),
        "manylinux2010" => (12, 1),
        "manylinux1" => (5, 1),
        "linux" => return Some(2 * newest + 2),
        _ => (kind.strip_prefix("manylinux_2_")?.parse().ok()?, 0),
    };
    (5..=newest)
        .contains(&version)
        .then(|| 2 * (newest - version) + legacy)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PYTHON: PythonRuntime = PythonRuntime {
        minor: 13,
        glibc: 34,
    };

    fn best<'a>(wheels: &[&'a str], architecture: Architecture) -> Option<&'a str> {
        let mut fitting: Vec<_> = wheels
            .iter()
            .filter_map(|w| Some((rank(w, PYTHON, architecture)?, *w)))
            .collect();
        fitting.sort();
        fitting.first().map(|(_, wheel)| *wheel)
    }

    #[test]
    fn each_wheel_fits_better_than_all_that_follow() {
        let ordered = [
            "a-1-cp313-cp313-manylinux_2_34_x86_64.whl",
            "a-1-cp313-cp313-manylinux_2_28_x86_64.whl",
            "a-1-2-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "a-1-1b-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "a-1-1a-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "a-1-cp313-cp313-manylinux2014_x86_64.whl",
            "a-1-cp313-cp313-manylinux1_x86_64.whl",
            "a-1-cp313-cp313-linux_x86_64.whl",
            "a-1-cp313-none-manylinux_2_17_x86_64.whl",
            "a-1-cp313-abi3-manylinux_2_17_x86_64.whl",
            "a-1-cp311-abi3-manylinux_2_34_x86_64.whl",
            "a-1-cp39-abi3-manylinux_2_34_x86_64.whl",
            "a-1-py313-none-manylinux_2_17_x86_64.whl",
            "a-1-py3-none-manylinux_2_17_x86_64.whl",
            "a-1-py312-none-manylinux_2_17_x86_64.whl",
            "a-1-cp313-none-any.whl",
            "a-1-py313-none-any.whl",
            "a-1-py2.py3-none-any.whl",
            "a-1-py312-none-any.whl",
        ];
        for (at, wheel) in ordered.iter().enumerate() {
            assert_eq!(best(&ordered[at..], Architecture::X86_64), Some(*wheel));
        }
        let mut reversed = ordered;
        reversed.reverse();
        assert_eq!(best(&reversed, Architecture::X86_64), Some(ordered[0]));
    }

    #[test]
    fn what_does_not_run_on_the_function_has_no_rank() {
        for wheel in [
            "a-1-cp312-cp312-manylinux_2_17_x86_64.whl",
            "a-1-cp313-cp313t-manylinux_2_17_x86_64.whl",
            "a-1-cp314-abi3-manylinux_2_17_x86_64.whl",
            "a-1-cp313-cp313-manylinux_2_35_x86_64.whl",
            "a-1-cp313-cp313-manylinux_2_17_aarch64.whl",
            "a-1-cp313-cp313-musllinux_1_2_x86_64.whl",
            "a-1-cp313-cp313-win_amd64.whl",
            "a-1-cp313-cp313-macosx_11_0_arm64.whl",
            "a-1-py2-none-any.whl",
            "a-1-py314-none-any.whl",
            "a-1.tar.gz",
            "a.whl",
        ] {
            assert_eq!(rank(wheel, PYTHON, Architecture::X86_64), None, "{wheel}");
        }
        assert!(
            rank(
                "a-1-cp313-cp313-manylinux_2_17_aarch64.whl",
                PYTHON,
                Architecture::Arm64
            )
            .is_some()
        );
    }
}
