//! The end of a run and the counters, from Rust's words to JavaScript's.

use napi::bindgen_prelude::{BigInt, BigUint64Array, Uint8Array, Uint32Array};
use napi_derive::napi;
use vmm::{Counters, End, Outcome, PostedWrite, RouteId, Whereabouts};

use crate::convert::exit::NativeExit;
use crate::convert::words::{NativeEnding, NativeExitReason};

/// How a run ended.
#[napi(object)]
pub struct NativeOutcome {
    /// Why it ended; absent where `exit` says it.
    pub reason: Option<NativeEnding>,
    /// Index of the vCPU that ended it, if one did.
    pub vcpu: Option<u32>,
    /// The exit that ended it, if one did.
    pub exit: Option<NativeExit>,
    /// Where the guest was, after a time-out, a shutdown, an internal error or a failed entry.
    pub whereabouts: Option<NativeWhereabouts>,
    /// For `exit-port`: what the guest wrote, 32 bits.
    pub exit_code: Option<u32>,
    /// Console text without a handler, up to 16 MiB.
    pub output: Uint8Array,
    /// Bytes of it that were too many to keep.
    pub output_dropped_bytes: f64,
    /// Console text for handlers that they have yet to get.
    pub undelivered: Vec<NativeText>,
    /// VM exits of this run.
    pub exits: f64,
    /// From the first entry into the guest to the last exit, in milliseconds.
    pub duration_ms: f64,
}

/// Where a vCPU stood.
#[napi(object)]
pub struct NativeWhereabouts {
    /// Index of the vCPU: the one that ended the run; after a time-out, which none of them did, the first.
    pub vcpu: u32,
    /// The next instruction, relative to the base of CS.
    pub rip: BigInt,
    /// The selector in CS.
    pub cs: u32,
    /// The mode at that time (Intel SDM vol. 3A §2.2): one in which a machine can start, `'paged32'` with pages of any size, or
    /// `'compatibility'`, long mode with a segment of 16 or 32 bits, or `'virtual-8086'`.
    #[napi(ts_type = "NativeMode | 'compatibility' | 'virtual-8086'")]
    pub mode: String,
    /// What memory has at RIP: 15 bytes, the longest instruction, or less where the mapping or memory ends.
    pub bytes: Uint8Array,
}

impl From<Whereabouts> for NativeWhereabouts {
    fn from(at: Whereabouts) -> Self {
        Self {
            vcpu: at.vcpu,
            rip: BigInt::from(at.rip),
            cs: u32::from(at.cs),
            mode: at.mode.to_owned(),
            bytes: Uint8Array::from(at.bytes),
        }
    }
}

/// Console text of one route.
#[napi(object)]
pub struct NativeText {
    /// The route's id: its index, or what `attach` gave.
    pub route: u32,
    /// The bytes.
    pub bytes: Uint8Array,
}

impl NativeText {
    /// Text of several routes.
    pub fn all(texts: Vec<(RouteId, Vec<u8>)>) -> Vec<Self> {
        let text = |(route, bytes): (RouteId, _)| Self {
            route: route.get(),
            bytes: Uint8Array::from(bytes),
        };
        texts.into_iter().map(text).collect()
    }
}

impl From<Outcome> for NativeOutcome {
    fn from(outcome: Outcome) -> Self {
        let (exit, exit_code) = match &outcome.end {
            End::Exit(record) | End::Power { record, .. } => (Some(record.into()), None),
            End::ExitPort { code, record } => (Some(record.into()), Some(*code)),
            End::Kicked(_) => (None, None),
        };
        Self {
            reason: NativeEnding::of(&outcome.end),
            vcpu: outcome.vcpu,
            exit,
            whereabouts: outcome.whereabouts.map(NativeWhereabouts::from),
            exit_code,
            output: Uint8Array::from(outcome.output.bytes),
            output_dropped_bytes: outcome.output.dropped_bytes as f64,
            undelivered: NativeText::all(outcome.undelivered),
            exits: outcome.exits as f64,
            duration_ms: outcome.duration.as_secs_f64() * 1e3,
        }
    }
}

/// Posted writes in the order in which the guest made them, by column.
#[napi(object)]
pub struct NativeBatch {
    /// Distances from the route's first port or address.
    pub offsets: Uint32Array,
    /// 1, 2, 4 or 8 bytes each.
    pub sizes: Uint8Array,
    /// What the guest wrote, zero-extended.
    pub values: BigUint64Array,
}

impl NativeBatch {
    pub fn new(writes: Vec<PostedWrite>) -> Option<Self> {
        if writes.is_empty() {
            return None;
        }
        let (mut offsets, mut sizes, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for PostedWrite {
            offset,
            size,
            value,
        } in writes
        {
            offsets.push(offset);
            sizes.push(size);
            values.push(value);
        }
        Some(Self {
            offsets: offsets.into(),
            sizes: sizes.into(),
            values: values.into(),
        })
    }
}

/// What was counted since the machine was made.
#[napi(object)]
pub struct NativeCounters {
    /// Exits by reason.
    pub exits: Vec<NativeExitCount>,
    /// Accesses of the caller's routes that are attached: in the order of the configuration, then as they were attached.
    pub routes: Vec<NativeRouteCount>,
    /// Times that the vCPU waited because a ring was full.
    pub ring_waits: f64,
    /// Entries that a kick or a look around interrupted.
    pub kicks: f64,
    /// Milliseconds inside `KVM_RUN`, of those runs that ask for it.
    pub kvm_run_ms: f64,
}

/// Exits of one reason.
#[napi(object)]
pub struct NativeExitCount {
    /// As in `NativeExit`.
    pub reason: NativeExitReason,
    /// How many.
    pub count: f64,
}

/// Accesses of one route; every repetition of a string instruction counts.
#[napi(object)]
pub struct NativeRouteCount {
    /// The route's id.
    pub route: u32,
    /// Items read.
    pub reads: f64,
    /// Items written.
    pub writes: f64,
}

impl From<&Counters> for NativeCounters {
    fn from(counters: &Counters) -> Self {
        let exits = NativeExitReason::ALL.into_iter().zip(&counters.exits);
        let routes = counters.routes().into_iter();
        Self {
            ring_waits: counters.ring_waits.get() as f64,
            kicks: counters.kicks.get() as f64,
            kvm_run_ms: counters.kvm_run_ns.get() as f64 / 1e6,
            exits: exits
                .map(|(reason, count)| NativeExitCount {
                    reason,
                    count: count.get() as f64,
                })
                .collect(),
            routes: routes
                .map(|(route, counts)| NativeRouteCount {
                    route: route.get(),
                    reads: counts.reads.get() as f64,
                    writes: counts.writes.get() as f64,
                })
                .collect(),
        }
    }
}
