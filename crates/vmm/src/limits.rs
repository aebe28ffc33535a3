//! Every limit, with its reason; those of images and devices come from their crates.

use std::time::Duration;

pub use boot::firmware::fw_cfg::MAX_FILES;
pub use boot::limits::{
    MAX_COMMAND_LINE_BYTES, MAX_GPA, MAX_MEMORY_BYTES, MAX_MEMORY_MAP_ENTRIES, MAX_MODULES,
    MAX_PROGRAM_HEADERS, PAGE_BYTES,
};
pub use devices::{CONSOLE_BATCH_BYTES, KEYBOARD_QUEUE_CODES, MAX_OUTPUT_BYTES};

/// Disks of one machine: what the virtio devices of a PC have room for, beside the entropy device,
/// all cards and the ports.
pub const MAX_DISKS: usize = boot::limits::MAX_VIRTIO - MAX_CARDS - 2;

/// Slots that a caller may ask for; every KVM has at least 32, and two are ours.
pub const MAX_SLOTS: usize = 16;

/// vCPUs of one machine: each is a thread, and APIC ids stay within one byte.
pub const MAX_VCPUS: u32 = 64;

/// The vCPU that starts at the payload's entry whatever the machine has.
pub const BOOT_VCPU: u32 = 0;

/// Vectors that wait to be injected into one vCPU: as many as there are.
pub const MAX_QUEUED_VECTORS: usize = 256;

/// Interrupt lines of the in-kernel irqchip: the pins of its IOAPIC, the first 16 of them the PIC's
/// too.
pub const IRQ_LINES: u32 = 24;

/// Routes of one machine; a look-up stays within eight comparisons.
pub const MAX_ROUTES: usize = 256;

/// A route's `length`: offsets within it fit 32 bits.
pub const MAX_ROUTE_LENGTH: u64 = 1 << 32;

/// Posted writes that wait in one route's ring: at 10 µs an exit some 40 ms, four times what
/// JavaScript's thread may be away.
pub const MAX_QUEUED_EVENTS: usize = 4096;

/// Posted writes that ring the bell: measured, fewer cost and more gain nothing.
pub const QUEUE_BELL_EVENTS: usize = 256;

/// Pixels of a screen's row and its rows: none is narrower than eight characters, and the largest
/// takes 34 MiB.
pub const MIN_SCREEN_SIDE: u32 = 64;
/// See [`MIN_SCREEN_SIDE`].
pub const MAX_SCREEN_WIDTH: u32 = 4096;
/// See [`MIN_SCREEN_SIDE`].
pub const MAX_SCREEN_HEIGHT: u32 = 2160;

/// Exits of each vCPU that a trace keeps: ten seconds of a guest that does nothing else.
pub const MAX_TRACE_RECORDS: usize = 1 << 20;

/// Bytes of all records of a trace, which one call copies.
pub const MAX_TRACE_BYTES: usize = 256 << 20;

/// Instructions that a replay steps through: at 10 µs each, about its time.
pub const MAX_REPLAY_INSTRUCTIONS: u64 = 1_000_000;

/// How long a replay takes at most, for which its caller waits.
pub const MAX_REPLAY: Duration = Duration::from_secs(10);

/// Samples a second: at 50 to 100 µs each, up to a tenth of the guest's time.
pub const MAX_SAMPLE_HZ: f64 = 1000.0;

/// Frames of one sample; what called them is cut off.
pub const MAX_SAMPLE_FRAMES: usize = 128;

/// Different stacks of one profile, and frames of all of them: 24 MiB at most. A guest that makes
/// more is counted, and its further stacks are not told apart.
pub const MAX_SAMPLED_STACKS: usize = 1 << 16;
/// See [`MAX_SAMPLED_STACKS`].
pub const MAX_SAMPLED_FRAMES: usize = 1 << 21;

/// Samples whose times are kept, 16 MiB: a minute of 64 vCPUs at 250 Hz, three hours of one at 99.
pub const MAX_SAMPLES: usize = 1 << 20;

/// Bytes that one read of guest memory copies.
pub const MAX_READ_BYTES: u64 = 1 << 30;

/// Network cards: each is a device on the bus, which has room for a dozen.
pub const MAX_CARDS: usize = 4;

/// Console ports beside the console: each has two queues of one device.
pub const MAX_PORTS: usize = 15;

/// The longest time-out: what still fits a monotonic clock for sure, about 49 days.
pub const MAX_TIMEOUT_MS: f64 = 4_294_967_295.0;

/// Breakpoints, watchpoints and the like of one machine: each is looked at after every step.
pub const MAX_STOPS: usize = 256;
