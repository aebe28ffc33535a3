//! What the files in `/proc` say.

use std::fmt::Write as _;

use super::base::tree;
use crate::calls::resources::Resources;
use crate::calls::world::{Clock, World};
use crate::errno::Errno;
use crate::files::Files;
use crate::limits::{CLOCK_TICKS, GROUP, PAGE, PARENT, PROCESS, STACK_END, USER};
use crate::tree::Text;

/// Bytes of a command's name.
const NAME: usize = 15;

/// Makes the contents of such a file.
pub fn text(
    which: Text,
    files: &Files,
    resources: &Resources,
    world: &mut World<'_>,
) -> Result<Vec<u8>, Errno> {
    let tree = tree(files)?;
    let text = match which {
        Text::Arguments => return Ok(strings(&tree.arguments)),
        Text::Environment => return Ok(strings(&tree.environment)),
        Text::Fixed(text) => text.to_owned(),
        Text::Cgroup => "0::/\n".to_owned(),
        Text::Comm => format!("{}\n", name(&tree.ground.program)),
        Text::Limits => limits(resources),
        Text::Load => "0.00 0.00 0.00 1/1 2\n".to_owned(),
        Text::Maps => maps(world),
        Text::Memory => memory(resources, world),
        Text::MountTable => mounts(files, false)?,
        Text::MountInfo => mounts(files, true)?,
        Text::ProcessStat => process_stat(&name(&tree.ground.program), world),
        Text::ProcessStatus => process_status(&name(&tree.ground.program), tree.umask, world),
        Text::Processor => PROCESSOR.to_owned(),
        Text::Stat => stat(world),
        Text::Statm => {
            let (mapped, present) = world.space.mapped_pages();
            format!("{mapped} {present} 0 0 0 {present} 0\n")
        }
        Text::Uptime => {
            let (seconds, nanoseconds) = world.host.now(Clock::Monotonic);
            let part = nanoseconds / 10_000_000;
            format!("{seconds}.{part:02} 0.00\n")
        }
        Text::Version => "Linux version 6.1.0 (vmexit) #1 vmexit\n".to_owned(),
    };
    Ok(text.into_bytes())
}

/// One processor. What it can do, `cpuid` says.
const PROCESSOR: &str = "processor\t: 0\nvendor_id\t: unknown\nmodel name\t: vmexit\n\
    cpu cores\t: 1\nflags\t\t: fpu tsc msr pae cx8 cmov mmx fxsr sse sse2 syscall nx lm\n\n";

fn strings(all: &[Vec<u8>]) -> Vec<u8> {
    all.iter()
        .flat_map(|text| text.iter().copied().chain([0]))
        .collect()
}

/// The name that the kernel gives to a process: the last of its image's path.
fn name(program: &[u8]) -> String {
    let last = program.rsplit(|byte| *byte == b'/').next();
    let last = last.unwrap_or_default();
    let last = last.get(..NAME.min(last.len())).unwrap_or_default();
    String::from_utf8_lossy(last).into_owned()
}

fn limits(resources: &Resources) -> String {
    let mut text = format!(
        "{:<25} {:<20} {:<20} {:<10}\n",
        "Limit", "Soft Limit", "Hard Limit", "Units"
    );
    for (name, units, [soft, hard]) in resources.named() {
        let value = |limit: u64| match limit {
            u64::MAX => "unlimited".to_owned(),
            limit => limit.to_string(),
        };
        let (soft, hard) = (value(soft), value(hard));
        // A string takes what is written to it.
        let _ = writeln!(text, "{name:<25} {soft:<20} {hard:<20} {units:<10}");
    }
    text
}

fn maps(world: &World<'_>) -> String {
    let mut text = String::new();
    for (range, protection) in world.space.mappings() {
        let bit = |is: bool, letter: char| if is { letter } else { '-' };
        let rights = [
            bit(protection.read, 'r'),
            bit(protection.write, 'w'),
            bit(protection.execute, 'x'),
        ];
        let rights: String = rights.iter().collect();
        let name = if range.contains(&(STACK_END - 1)) {
            "                          [stack]"
        } else {
            ""
        };
        let (start, end) = (range.start, range.end);
        let _ = writeln!(
            text,
            "{start:08x}-{end:08x} {rights}p 00000000 00:00 0 {name}"
        );
    }
    text
}

fn memory(resources: &Resources, world: &World<'_>) -> String {
    let (all, free) = (resources.memory() >> 10, world.space.free_bytes() >> 10);
    let mut text = String::new();
    for (name, value) in [
        ("MemTotal", all),
        ("MemFree", free),
        ("MemAvailable", free),
        ("Buffers", 0),
        ("Cached", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
    ] {
        let _ = writeln!(text, "{:<15} {value:>8} kB", format!("{name}:"));
    }
    text
}

/// A path as the mount table has it.
fn escaped(path: &[u8]) -> String {
    let mut text = String::new();
    for byte in path {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => {
                let _ = write!(text, "\\{byte:03o}");
            }
            _ => text.push(char::from(*byte)),
        }
    }
    text
}

fn mounts(files: &Files, is_long: bool) -> Result<String, Errno> {
    let mut text = String::new();
    for (path, mounted) in tree(files)?.ground.mounts() {
        let path = escaped(path);
        let rights = if mounted.read_only { "ro" } else { "rw" };
        let kind = mounted.root.name();
        let number = mounted.number + 1;
        let _ = if is_long {
            writeln!(
                text,
                "{number} 1 1:{number} / {path} {rights} - {kind} {kind} {rights}"
            )
        } else {
            writeln!(text, "{kind} {path} {kind} {rights} 0 0")
        };
    }
    Ok(text)
}

/// Ticks that the program has used.
fn used(world: &mut World<'_>) -> u64 {
    let (seconds, nanoseconds) = world.host.now(Clock::Processor);
    let part = u64::from(nanoseconds) / (1_000_000_000 / CLOCK_TICKS);
    seconds
        .cast_unsigned()
        .wrapping_mul(CLOCK_TICKS)
        .wrapping_add(part)
}

/// `/proc/self/stat`, whose fields have numbers only (proc(5)).
fn process_stat(name: &str, world: &mut World<'_>) -> String {
    let (mapped, present) = world.space.mapped_pages();
    let (used, bytes) = (used(world), mapped * PAGE);
    let mut fields = vec![0_u64; 49];
    for (number, value) in [
        (5, PROCESS.into()),
        (6, PROCESS.into()),
        (14, used),
        (18, 20),
        (20, 1),
        (23, bytes),
        (24, present),
        (25, u64::MAX),
        (28, STACK_END),
        (38, 17),
    ] {
        if let Some(field) = fields.get_mut(number - 4) {
            *field = value;
        }
    }
    if let Some(parent) = fields.first_mut() {
        *parent = PARENT.into();
    }
    let fields: Vec<String> = fields.iter().map(u64::to_string).collect();
    format!("{PROCESS} ({name}) R {}\n", fields.join(" "))
}

fn process_status(name: &str, umask: u32, world: &World<'_>) -> String {
    let (mapped, present) = world.space.mapped_pages();
    let (mapped, present) = ((mapped * PAGE) >> 10, (present * PAGE) >> 10);
    format!(
        "Name:\t{name}\nUmask:\t{umask:04o}\nState:\tR (running)\nTgid:\t{PROCESS}\n\
         Ngid:\t0\nPid:\t{PROCESS}\nPPid:\t{PARENT}\nTracerPid:\t0\n\
         Uid:\t{USER}\t{USER}\t{USER}\t{USER}\nGid:\t{GROUP}\t{GROUP}\t{GROUP}\t{GROUP}\n\
         FDSize:\t64\nGroups:\t\nVmPeak:\t{mapped:>8} kB\nVmSize:\t{mapped:>8} kB\n\
         VmHWM:\t{present:>8} kB\nVmRSS:\t{present:>8} kB\nThreads:\t1\n\
         Cpus_allowed:\t1\nCpus_allowed_list:\t0\nMems_allowed_list:\t0\n"
    )
}

fn stat(world: &mut World<'_>) -> String {
    let used = used(world);
    let (now, _) = world.host.now(Clock::Realtime);
    let (up, _) = world.host.now(Clock::Monotonic);
    let started = now.saturating_sub(up);
    format!(
        "cpu  {used} 0 0 0 0 0 0 0 0 0\ncpu0 {used} 0 0 0 0 0 0 0 0 0\nintr 0\nctxt 0\n\
         btime {started}\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n"
    )
}
