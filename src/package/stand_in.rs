//! What `uv` asks a Python interpreter about itself, answered without one.
//!
//! `uv` wants an interpreter even where nothing will run in it: wheels for Lambda's platform are chosen and unpacked by what is asked for, not
//! by what answers. So a script answers, at once and the same whatever Python the machine has, if any. It runs nothing, and is given to nothing
//! but `uv`. Only for systems with a shell; elsewhere a Python has to be there.
//!
//! Source: what uv 0.7 to 0.13.9 were seen to read of an interpreter's answer. A `uv` that asks for more needs a Python.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

/// Writes a stand-in for Python `version` (`3.13`) into `folder`, and returns its path.
///
/// # Errors
///
/// Those of writing, and [`io::ErrorKind::Unsupported`] where there is no shell.
pub(super) fn write(folder: &Path, version: &str) -> io::Result<PathBuf> {
    let shell = Path::new("/bin/sh");
    if !cfg!(unix) || !shell.exists() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("python{version}"));
    let text = script(&path, version);
    // The same bytes whoever writes it, and `uv` asks anew when a file is younger than what it remembers.
    if std::fs::read(&path).is_ok_and(|found| found == text.as_bytes()) {
        return Ok(path);
    }
    let beside = tempfile::Builder::new()
        .prefix(".python-")
        .tempfile_in(folder)?;
    std::fs::write(beside.path(), text)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(beside.path(), std::fs::Permissions::from_mode(0o755))?;
    }
    // Closed before it is renamed: a file that is open for writing cannot be run.
    beside.into_temp_path().persist(&path)?;
    Ok(path)
}

fn script(path: &Path, version: &str) -> String {
    let full = format!("{version}.0");
    let arch = std::env::consts::ARCH;
    let (system, platform, os) = match std::env::consts::OS {
        "macos" => (
            "Darwin",
            "darwin",
            json!({"name": "macos", "major": 14, "minor": 0}),
        ),
        _ => (
            "Linux",
            "linux",
            json!({"name": "manylinux", "major": 2, "minor": 28}),
        ),
    };
    // Not a prefix of anything that exists: nothing is installed there.
    let prefix = format!("{}.prefix", path.display());
    let below = |root: &str| {
        let at = |folder: &str| match root.is_empty() {
            true => folder.to_owned(),
            false => format!("{root}/{folder}"),
        };
        let packages = at(&format!("lib/python{version}/site-packages"));
        json!({
            "platlib": packages, "purelib": packages, "include": at(&format!("include/python{version}")), "scripts": at("bin"), "data": root,
        })
    };
    let answer = json!({
        "result": "success",
        "markers": {
            "implementation_name": "cpython", "implementation_version": full, "os_name": "posix", "platform_machine": arch,
            "platform_python_implementation": "CPython", "platform_release": "", "platform_system": system, "platform_version": "",
            "python_full_version": full, "python_version": version, "sys_platform": platform,
        },
        "sys_base_prefix": prefix, "sys_base_exec_prefix": prefix, "sys_prefix": prefix, "sys_base_executable": path, "sys_executable": path,
        "sys_path": [], "site_packages": [], "stdlib": format!("{prefix}/lib/python{version}"),
        "scheme": below(&prefix), "virtualenv": below(""),
        // Asked for on its own by uv from 0.13 on, in one object before.
        "os": os, "arch": arch, "platform": {"os": os, "arch": arch},
        "cpu_info": {"detected": {"kind": "flags", "flags": ""}}, "extension_suffixes": [],
        "manylinux_compatible": true, "standalone": false, "gil_disabled": false, "debug_enabled": false, "pointer_size": "64",
    });
    let quoted = answer.to_string().replace('\'', "'\\''");
    format!(
        "#!/bin/sh\n# Answers what uv asks an interpreter about itself. Runs no Python.\nprintf '%s\\n' '{quoted}'\n"
    )
}
