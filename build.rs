//! Build script of `crates/node`: the set-up that a Node.js addon needs, and the guest images that
//! it embeds.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, exit};

/// What `guest/Makefile` appends to a guest's name; none is the end of another after a hyphen.
const VARIANTS: [&str; 4] = ["16", "32", "64", "64-user"];

/// The variables by which `guest/Makefile` takes other tools than its own.
const TOOLS: [(&str, &str); 3] = [("CC", "cc"), ("LD", "ld"), ("OBJCOPY", "objcopy")];

const INSTALL: &str =
    "install GNU make, gcc and binutils (Debian, Ubuntu: apt-get install make gcc binutils)";

#[allow(clippy::print_stderr)] // cargo shows what a build script says
fn main() {
    if let Err(message) = run() {
        eprintln!("error: {message}");
        exit(1);
    }
}

fn run() -> Result<(), String> {
    napi_build::setup();
    // Threads and a signal handler of ours may outlive the dlclose at a worker's end.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");

    let manifest = variable("CARGO_MANIFEST_DIR")?;
    let root = manifest
        .ancestors()
        .nth(2)
        .ok_or_else(|| format!("{} has no workspace above", manifest.display()))?;
    let guests = root.join("guest");
    println!(
        "cargo::rerun-if-changed={}",
        root.join("build.rs").display()
    );
    println!("cargo::rerun-if-changed={}", guests.display());
    for (name, _) in TOOLS {
        println!("cargo::rerun-if-env-changed={name}");
    }

    let out = variable("OUT_DIR")?;
    let images = out.join("guests");
    make(root, &guests, &images)?;
    let table = image_table(&images)?;
    let path = out.join("guests.rs");
    fs::write(&path, table).map_err(|error| format!("{}: {error}", path.display()))
}

fn variable(name: &str) -> Result<PathBuf, String> {
    env::var_os(name)
        .map(PathBuf::from)
        .ok_or_else(|| format!("{name} is not set: cargo runs this program"))
}

/// Fills `images` by `guest/Makefile`, which does nothing when nothing changed.
fn make(root: &Path, guests: &Path, images: &Path) -> Result<(), String> {
    require("make")?;
    for (name, default) in TOOLS {
        require(&env::var(name).unwrap_or_else(|_| default.to_owned()))?;
    }

    // make cannot name a file with a space in its path; from guest/ on, the path seldom has one.
    let out = match images.strip_prefix(root) {
        Ok(below) => Path::new("..").join(below),
        Err(_) => images.to_owned(),
    };
    let mut argument = OsString::from("OUT=");
    argument.push(out);
    let mut command = Command::new("make");
    command.arg("-C").arg(guests).arg(argument);
    // cargo's own job slots, and no options of a make around cargo.
    match env::var_os("CARGO_MAKEFLAGS") {
        Some(flags) => command.env("MAKEFLAGS", flags),
        None => command.env_remove("MAKEFLAGS"),
    };
    let status = command
        .status()
        .map_err(|error| format!("cannot run make: {error}; {INSTALL}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!(
        "building the guest images failed (make: {status}, its messages are above); if a tool is missing, {INSTALL}"
    ))
}

/// Fails if a tool that make would run is missing, with a clearer message than make's.
fn require(tool: &str) -> Result<(), String> {
    // A value such as "ccache gcc" is a command with arguments.
    let program = tool.split_whitespace().next().unwrap_or(tool);
    let probe = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match probe {
        Err(error) if error.kind() == ErrorKind::NotFound => Err(format!(
            "the guest images need {program}, which is not installed: {INSTALL}"
        )),
        _ => Ok(()),
    }
}

/// Rust source of the table of all images: guest, variant, bytes.
fn image_table(images: &Path) -> Result<String, String> {
    let failed = |error| format!("{}: {error}", images.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(images).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "bin") {
            names.extend(
                path.file_stem()
                    .and_then(|stem| stem.to_str())
                    .map(str::to_owned),
            );
        }
    }
    names.sort();

    let mut table = String::from(
        "/// Every embedded guest image: name, variant (`16`, `32`, `64` or `64-user`), bytes.\n\
         pub static GUEST_IMAGES: &[(&str, &str, &[u8])] = &[\n",
    );
    for name in &names {
        let (guest, variant) =
            split(name).ok_or_else(|| format!("{name}.bin: no known variant in its name"))?;
        // A path in include_bytes! counts from this generated file.
        table.push_str(&format!(
            "    ({guest:?}, {variant:?}, include_bytes!(\"guests/{name}.bin\")),\n"
        ));
    }
    table.push_str("];\n");
    Ok(table)
}

fn split(name: &str) -> Option<(&str, &str)> {
    VARIANTS.into_iter().find_map(|variant| {
        let guest = name.strip_suffix(variant)?.strip_suffix('-')?;
        Some((guest, variant))
    })
}
