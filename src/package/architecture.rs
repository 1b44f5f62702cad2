//! Enters: the instruction set as Lambda names it. Leaves: a value that every room shares. Refuses: any other name.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The instruction set that a function runs on, and that its wheels and its bridge are built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Architecture {
    /// Lambda's `x86_64`.
    X86_64,
    /// Lambda's `arm64`: Graviton, `aarch64` elsewhere.
    Arm64,
}

/// A name that is neither of Lambda's two architectures.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("unknown architecture `{name}`: use `x86_64` or `arm64`")]
pub struct UnknownArchitecture {
    /// What was given.
    pub name: String,
}

impl Architecture {
    /// Both, in the order in which they are listed to users.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Arm64];

    /// Lambda's name: `x86_64` or `arm64`.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Architecture {
    type Err = UnknownArchitecture;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|architecture| architecture.name() == name)
            .ok_or_else(|| UnknownArchitecture {
                name: name.to_owned(),
            })
    }
}
