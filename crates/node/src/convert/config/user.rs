//! A native program, as it comes from JavaScript.

use std::path::Path;

use napi::bindgen_prelude::{BigInt, Uint8Array};
use napi_derive::napi;
use vmm::{Error, ErrorCode, Result, UserConfig, UserFiles, UserMount, UserRoot, UserSource};

/// A native program, beside its image.
#[napi(object)]
pub struct NativeUser {
    /// Its arguments, the first of them its name.
    pub arguments: Vec<String>,
    /// Its environment, as `NAME=value`.
    pub environment: Vec<String>,
    /// What it finds by path; only a process has it.
    pub files: Option<NativeFiles>,
    /// Where its clock stands, in milliseconds since 1970; else it has the host's.
    pub clock: Option<f64>,
    /// What its chance begins with, the low 64 bits; else it has the host's.
    pub seed: Option<BigInt>,
}

/// What a process finds by path.
#[napi(object)]
pub struct NativeFiles {
    /// Where its image is, which is read from there if the payload is empty.
    pub program: String,
    /// Where relative paths begin.
    pub directory: String,
    /// In any order.
    pub mounts: Vec<NativeMount>,
}

/// Something at a path.
#[napi(object)]
pub struct NativeMount {
    /// Absolute, as the process has it.
    pub path: String,
    /// A path of the host; without it and `bytes`, a directory in memory.
    pub host: Option<String>,
    /// The contents of a file in memory.
    pub bytes: Option<Uint8Array>,
    /// The process cannot change it.
    pub read_only: bool,
}

impl NativeUser {
    pub fn parse(&self) -> Result<UserConfig> {
        let bytes = |all: &[String]| all.iter().map(|text| text.clone().into_bytes()).collect();
        let arguments: Vec<Vec<u8>> = bytes(&self.arguments);
        let environment: Vec<Vec<u8>> = bytes(&self.environment);
        let parse = |files: &NativeFiles| -> Result<UserFiles> {
            let mounts: Result<_> = files.mounts.iter().map(NativeMount::parse).collect();
            Ok(UserFiles {
                mounts: mounts?,
                directory: files.directory.clone().into_bytes(),
                arguments: arguments.clone(),
                environment: environment.clone(),
                program: files.program.clone().into_bytes(),
            })
        };
        let files = self.files.as_ref().map(parse).transpose()?;
        Ok(UserConfig {
            files,
            arguments,
            environment,
            clock: self.clock.map(|milliseconds| milliseconds as i64),
            seed: self.seed.as_ref().map(|seed| seed.get_u64().1),
        })
    }
}

impl NativeMount {
    fn parse(&self) -> Result<UserMount> {
        let source = match (&self.host, &self.bytes) {
            (Some(host), _) => UserSource::Host(self.root(host)?),
            (None, Some(bytes)) => UserSource::File(bytes.to_vec()),
            (None, None) => UserSource::Memory,
        };
        Ok(UserMount {
            path: self.path.clone().into_bytes(),
            source,
            read_only: self.read_only,
        })
    }

    fn root(&self, host: &str) -> Result<UserRoot> {
        UserRoot::open(Path::new(host), self.read_only).map_err(|error| {
            let what = format!("files[{:?}]: {host}: {error}", self.path);
            Error::new(ErrorCode::InvalidOption, what)
        })
    }
}
