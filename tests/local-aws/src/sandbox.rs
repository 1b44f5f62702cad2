//! The file system that a function sees: Lambda's paths, and nothing else that can be written.
//!
//! Enters: where the base system, the code and the interpreter are. Leaves: a mount namespace in
//! which `Root::dir` holds `/usr` and its like (read-only), `/var/task` with the code (read-only),
//! `/var/lang` with the interpreter, an own `/tmp` of the function's size; and the change of root
//! into it. It needs root, or a kernel that lets users make user namespaces.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The user that functions run as, when local-aws runs as root: not root, as in Lambda, so that
/// files that only their owner may read fail here as they fail there. The number is no account's
/// on usual systems.
pub(crate) const FUNCTION_USER: u32 = 60_993;

/// What is taken over from the base system. `/home`, `/root`, `/mnt` and the like are not there.
const SYSTEM: [&str; 10] = [
    "bin", "etc", "lib", "lib32", "lib64", "libx32", "sbin", "sys", "usr", "nix",
];

/// The devices that are there; Lambda has no `/dev/shm` either.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// A root directory to build.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Root {
    /// An empty directory; becomes the root.
    pub(crate) dir: PathBuf,
    /// The system that provides `/usr` and its like: `/`, or a Debian root filesystem.
    pub(crate) base: PathBuf,
    /// The unpacked code.
    pub(crate) code: PathBuf,
    /// `base` is all that the function sees: a container image.
    pub(crate) whole: bool,
    /// What is at `/opt`, if anything.
    pub(crate) layers: Option<PathBuf>,
    /// An interpreter's installation directory (with `bin` and `lib`), if it has one of its own.
    pub(crate) prefix: Option<PathBuf>,
    /// Names in `/var/lang/bin` and where they lead, when there is no `prefix`.
    pub(crate) links: Vec<(String, PathBuf)>,
    /// The size of `/tmp` in MiB.
    pub(crate) tmp_mib: u64,
    /// What runs the programs of another processor, if they are for one.
    pub(crate) emulator: Option<Emulator>,
}

/// QEMU's user mode for one processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Emulator {
    /// A static program.
    pub(crate) program: PathBuf,
    /// ELF's number of the processor (`e_machine`).
    pub(crate) machine: u16,
}

impl Root {
    /// Builds the root in a mount namespace of this process and of those that it starts.
    ///
    /// # Errors
    ///
    /// A sentence that names the step that the kernel refused.
    pub(crate) fn build(&self) -> Result<(), String> {
        // A table of binary formats of its own comes with a user namespace of its own (Linux 6.7): the machine's stays as it is.
        let own_users = self.emulator.is_some();
        enter_namespace(own_users).map_err(|error| format!("no mount namespace: {error}"))?;
        if let Some(emulator) = &self.emulator {
            let name = emulator.program.display();
            register(emulator).map_err(|error| format!("{name} cannot be registered: {error}"))?;
        }
        self.compose()
            .map_err(|error| format!("cannot build the root directory: {error}"))
    }

    fn compose(&self) -> io::Result<()> {
        let dir = &self.dir;
        // Nothing that happens here may be seen outside.
        mount(
            None,
            Path::new("/"),
            None,
            libc::MS_REC | libc::MS_PRIVATE,
            "",
        )?;
        mount(Some("tmpfs"), dir, Some("tmpfs"), 0, "mode=0755,size=16m")?;
        if self.whole {
            return self.compose_whole();
        }
        for name in SYSTEM {
            let source = self.base.join(name);
            let Ok(metadata) = source.symlink_metadata() else {
                continue;
            };
            if metadata.is_symlink() {
                symlink(std::fs::read_link(&source)?, dir.join(name))?;
            } else {
                self.bind_dir(&source, name)?;
            }
        }
        self.bind_dir(&self.code, "var/task")?;
        if let Some(layers) = &self.layers {
            self.bind_dir(layers, "opt")?;
        }
        for empty in ["opt", "var/runtime", "var/tmp", "run", "home"] {
            std::fs::create_dir_all(dir.join(empty))?;
        }
        self.interpreter()?;
        self.devices()?;
        self.accounts_and_names()?;

        self.finish()
    }

    /// An image's root, with nothing of Lambda's in it.
    fn compose_whole(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.base)? {
            let entry = entry?;
            let (name, kind) = (entry.file_name(), entry.file_type()?);
            let ours = ["dev", "proc", "sys", "tmp"]
                .iter()
                .any(|ours| name == *ours);
            match (ours, kind.is_dir(), kind.is_symlink()) {
                (true, ..) => {}
                (_, true, _) => self.bind_dir(&entry.path(), Path::new(&name))?,
                (_, _, true) => {
                    symlink(std::fs::read_link(entry.path())?, self.dir.join(&name))?;
                }
                _ => _ = std::fs::copy(entry.path(), self.dir.join(&name))?,
            }
        }
        self.devices()?;
        self.accounts_and_names()?;
        self.finish()
    }

    /// `/tmp`, `/proc`, and nothing else that can be written.
    fn finish(&self) -> io::Result<()> {
        let dir = &self.dir;
        let tmp = dir.join("tmp");
        // An interpreter below /tmp has made it; it is still to be found at /var/lang.
        std::fs::create_dir_all(&tmp)?;
        mount(
            Some("tmpfs"),
            &tmp,
            Some("tmpfs"),
            0,
            &format!("mode=1777,size={}m", self.tmp_mib),
        )?;
        let proc = dir.join("proc");
        std::fs::create_dir(&proc)?;
        mount(Some("/proc"), &proc, None, libc::MS_BIND | libc::MS_REC, "")?;
        mount(
            None,
            dir,
            None,
            libc::MS_REMOUNT | libc::MS_RDONLY,
            "mode=0755,size=16m",
        )
    }

    fn interpreter(&self) -> io::Result<()> {
        if let Some(prefix) = &self.prefix {
            self.bind_dir(prefix, "var/lang")?;
            // Some look for their libraries at the place for which they were built.
            let same_place = prefix.strip_prefix("/").unwrap_or(prefix);
            if !SYSTEM.iter().any(|name| same_place.starts_with(name)) {
                self.bind_dir(prefix, same_place)?;
            }
        }
        let bin = self.dir.join("var/lang/bin");
        if !bin.exists() {
            std::fs::create_dir_all(&bin)?;
        }
        for (name, target) in &self.links {
            symlink(target, bin.join(name))?;
        }
        Ok(())
    }

    fn devices(&self) -> io::Result<()> {
        let dev = self.dir.join("dev");
        std::fs::create_dir(&dev)?;
        for name in DEVICES {
            let device = dev.join(name);
            std::fs::write(&device, "")?;
            mount(
                Some(&format!("/dev/{name}")),
                &device,
                None,
                libc::MS_BIND,
                "",
            )?;
        }
        for (name, target) in [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
        ] {
            symlink(target, dev.join(name))?;
        }
        Ok(())
    }

    /// Gives the function's user a name, and name resolution the host's configuration.
    fn accounts_and_names(&self) -> io::Result<()> {
        let mut passwd = std::fs::read_to_string(self.base.join("etc/passwd")).unwrap_or_default();
        passwd.push_str(&format!(
            "sbx_user1051:x:{FUNCTION_USER}:{FUNCTION_USER}::/home/sbx_user1051:/sbin/nologin\n"
        ));
        self.cover("passwd", "etc/passwd", passwd.as_bytes())?;
        if let Ok(resolver) = std::fs::read("/etc/resolv.conf") {
            let inside = self.dir.join("etc/resolv.conf");
            match std::fs::read_link(&inside) {
                // systemd-resolved keeps it under /run, which is not there.
                Ok(target) => {
                    let target = Path::new("/etc").join(target);
                    let target = self
                        .dir
                        .join(normal(&target).strip_prefix("/").unwrap_or(&target));
                    if let Some(parent) = target
                        .parent()
                        .filter(|parent| parent.starts_with(self.dir.join("run")))
                    {
                        std::fs::create_dir_all(parent)?;
                        std::fs::write(&target, resolver)?;
                    }
                }
                Err(_) if inside.exists() => {
                    self.cover("resolv.conf", "etc/resolv.conf", &resolver)?
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Lays a file of ours over one of the read-only base.
    fn cover(&self, name: &str, at: &str, content: &[u8]) -> io::Result<()> {
        let ours = self.dir.join(format!(".{name}"));
        std::fs::write(&ours, content)?;
        std::fs::set_permissions(&ours, std::fs::Permissions::from_mode(0o644))?;
        let place = self.dir.join(at);
        if place.exists() {
            mount(ours.to_str(), &place, None, libc::MS_BIND, "")?;
        }
        Ok(())
    }

    /// Binds `source` read-only, with everything that is mounted below it.
    fn bind_dir(&self, source: &Path, at: impl AsRef<Path>) -> io::Result<()> {
        let place = self.dir.join(at);
        std::fs::create_dir_all(&place)?;
        mount(
            source.to_str(),
            &place,
            None,
            libc::MS_BIND | libc::MS_REC,
            "",
        )?;
        read_only(&place)
    }
}

/// Changes this process's root to `dir` and, when it is root's, its user to the function's.
pub(crate) fn enter(dir: &Path) -> io::Result<()> {
    let path = c_path(dir)?;
    // SAFETY: the path is a C string; the other calls take numbers, and a null list of no groups.
    unsafe {
        check(libc::chroot(path.as_ptr()))?;
        if libc::geteuid() == 0 && is_real_root() {
            check(libc::setgroups(0, std::ptr::null()))?;
            check(libc::setgid(FUNCTION_USER))?;
            check(libc::setuid(FUNCTION_USER))?;
        }
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    }
}

/// Whether user ids are those of the machine: in a user namespace of ours, only one exists.
fn is_real_root() -> bool {
    std::fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.split_whitespace().nth(2) == Some("4294967295"))
}

/// The kernel runs ELF programs of that processor with the emulator, which it opens now and finds from any root directory
/// (Documentation/admin-guide/binfmt-misc.rst).
fn register(emulator: &Emulator) -> io::Result<()> {
    let table = Path::new("/proc/sys/fs/binfmt_misc");
    mount(Some("binfmt_misc"), table, Some("binfmt_misc"), 0, "")?;
    let [low, high] = emulator.machine.to_le_bytes();
    // 64 bits, little-endian; programs and shared ones, for any system.
    let magic = format!(
        r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x{low:02x}\x{high:02x}"
    );
    let mask = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff";
    let line = format!(
        ":foreign:M::{magic}:{mask}:{}:F",
        emulator.program.display()
    );
    std::fs::write(table.join("register"), line)
}

fn enter_namespace(own_users: bool) -> io::Result<()> {
    // SAFETY: these calls take numbers.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    if user == 0 && !own_users {
        // SAFETY: as above.
        return check(unsafe { libc::unshare(libc::CLONE_NEWNS) });
    }
    // SAFETY: as above; this process has one thread.
    check(unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) })?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

fn mount(
    source: Option<&str>,
    target: &Path,
    kind: Option<&str>,
    flags: libc::c_ulong,
    data: &str,
) -> io::Result<()> {
    let c_string = |text: &str| CString::new(text).map_err(io::Error::from);
    let source = source.map(c_string).transpose()?;
    let kind = kind.map(c_string).transpose()?;
    let (place, data) = (c_path(target)?, c_string(data)?);
    let pointer =
        |text: &Option<CString>| text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
    // SAFETY: all pointers are null or C strings that outlive the call.
    let done = unsafe {
        libc::mount(
            pointer(&source),
            place.as_ptr(),
            pointer(&kind),
            flags,
            data.as_ptr().cast(),
        )
    };
    check(done).map_err(|error| {
        io::Error::new(error.kind(), format!("mount {}: {error}", target.display()))
    })
}

/// Makes a mount and all below it read-only (`mount_setattr(2)`, Linux 5.12).
fn read_only(place: &Path) -> io::Result<()> {
    let path = c_path(place)?;
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path is a C string, and the structure is as large as the last argument says.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    check(i32::try_from(done).unwrap_or(-1)).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("read-only {}: {error}", place.display()),
        )
    })
}

/// Resolves `..` by name.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

fn check(done: libc::c_int) -> io::Result<()> {
    if done == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
