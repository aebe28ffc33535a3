//! The end of a run and the counters, converted from Rust's types to JavaScript's.

use napi::bindgen_prelude::{BigInt, BigUint64Array, Either3, Uint8Array, Uint32Array};
use napi_derive::napi;
use vmm::{
    Counters, End, Fault, NicCounts, Outcome, PostedWrite, Result, RouteId, Whereabouts, kvm_regs,
};

use crate::convert::block;
use crate::convert::exit::NativeExit;
use crate::convert::failure::Failure;
use crate::convert::stop::NativeHit;
use crate::convert::words::NativeExitReason;
use crate::ffi::Words;

/// What is seldom there at the end of a run; the rest is in the shared words, see `NativePlace`.
#[napi(object)]
#[derive(Default)]
pub struct NativeRest {
    /// The exit that ended it, if the words do not hold it.
    pub exit: Option<NativeExit>,
    /// The fault that ended it.
    pub fault: Option<NativeFault>,
    /// The stop that ended it.
    pub hit: Option<NativeHit>,
    /// After a shutdown, the vector of the exception that had no handler, if KVM says it.
    pub shutdown_vector: Option<u32>,
    /// After a shutdown, whether registers are still the guest's.
    pub registers_kept: Option<bool>,
    /// Where the guest was, after a time-out, a fault, a shutdown, an internal error or a failed
    /// entry. Its special registers are in the shared words then, see `NativePlace`.
    pub whereabouts: Option<NativeWhereabouts>,
    /// Console text without a handler, up to 16 MiB.
    pub output: Option<Uint8Array>,
    /// Bytes of it that were too many to keep.
    pub output_dropped_bytes: Option<f64>,
    /// Console text for handlers that they have yet to get.
    pub undelivered: Option<Vec<NativeText>>,
}

/// The end of a run as JavaScript gets it, beside what the words hold: 0 if that is all.
pub type Told = Either3<u32, NativeRest, Failure>;

/// Tells how a run ended, with the registers at its end, if they are known.
pub fn tell(words: Words, ended: Result<(Outcome, Option<kvm_regs>)>) -> Told {
    let (outcome, registers) = match ended {
        Ok(ended) => ended,
        Err(error) => return Either3::C(error.into()),
    };
    let is_whole = block::put_outcome(words, &outcome, registers.as_ref());
    let (output, dropped) = (outcome.output.bytes, outcome.output.dropped_bytes);
    let is_all = is_whole
        && outcome.whereabouts.is_none()
        && outcome.shutdown.is_none()
        && !matches!(outcome.end, End::Stop(_))
        && output.is_empty()
        && dropped == 0
        && outcome.undelivered.is_empty();
    if is_all {
        return Either3::A(0);
    }
    let record = match &outcome.end {
        End::Exit(record) | End::Power { record, .. } | End::ExitPort { record, .. } => {
            Some(record)
        }
        End::Kicked(_) | End::Fault(_) | End::Stop(_) => None,
    };
    let fault = match outcome.end {
        End::Fault(fault) => Some(NativeFault::from(fault)),
        _ => None,
    };
    let hit = match outcome.end {
        End::Stop(hit) => Some(NativeHit::from(hit)),
        _ => None,
    };
    if let Some(at) = &outcome.whereabouts {
        block::put_special_registers(words, &at.special);
    }
    let shutdown = outcome.shutdown;
    Either3::B(NativeRest {
        exit: record.filter(|_| !is_whole).map(NativeExit::from),
        fault,
        hit,
        shutdown_vector: shutdown.and_then(|shutdown| shutdown.vector.map(u32::from)),
        registers_kept: shutdown.map(|shutdown| shutdown.registers_kept),
        whereabouts: outcome.whereabouts.map(NativeWhereabouts::from),
        output: (!output.is_empty()).then(|| Uint8Array::from(output)),
        output_dropped_bytes: (dropped > 0).then_some(dropped as f64),
        undelivered: (!outcome.undelivered.is_empty())
            .then(|| NativeText::all(outcome.undelivered)),
    })
}

/// A fault that the trap table has caught.
#[napi(object)]
pub struct NativeFault {
    /// 0 to 31.
    pub vector: u32,
    /// What the processor pushed as the error code, if the vector has one.
    pub error_code: Option<u32>,
    /// The address of a page fault (CR2).
    pub address: Option<BigInt>,
    /// The instruction, relative to the base of CS; of a trap such as `int3` the one after it.
    pub rip: BigInt,
}

impl From<Fault> for NativeFault {
    fn from(fault: Fault) -> Self {
        Self {
            vector: u32::from(fault.vector),
            error_code: fault.error_code,
            address: fault.address.map(BigInt::from),
            rip: BigInt::from(fault.rip),
        }
    }
}

/// Where a vCPU was.
#[napi(object)]
pub struct NativeWhereabouts {
    /// Index of the vCPU: the one that ended the run; after a time-out, which none of them did, the
    /// first.
    pub vcpu: u32,
    /// The next instruction, relative to the base of CS.
    pub rip: BigInt,
    /// The selector in CS.
    pub cs: u32,
    /// The mode at that time (Intel SDM vol. 3A §2.2): one in which a machine can start,
    /// `'paged32'` with pages of any size, or `'compatibility'`, long mode with a segment of 16 or
    /// 32 bits, or `'virtual-8086'`.
    #[napi(ts_type = "NativeMode | 'compatibility' | 'virtual-8086'")]
    pub mode: String,
    /// What memory has at RIP: 15 bytes, the longest instruction, or less where the mapping or
    /// memory ends.
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
    /// Accesses of the caller's routes that are attached: in the order of the configuration, then
    /// as they were attached.
    pub routes: Vec<NativeRouteCount>,
    /// Times that the vCPU waited because a ring was full.
    pub ring_waits: f64,
    /// Entries that a kick or a look around interrupted.
    pub kicks: f64,
    /// Milliseconds inside `KVM_RUN`, of those runs that ask for it.
    pub kvm_run_ms: f64,
    /// Frames of the network cards, in their order.
    pub network: Vec<NativeFrameCounts>,
}

/// What a network card has counted.
#[napi(object)]
pub struct NativeFrameCounts {
    /// Frames that the guest has sent.
    pub sent: f64,
    /// Frames that the guest has received.
    pub received: f64,
    /// Frames of both directions that were shorter than 14 bytes or longer than 1518, or for which
    /// there was no link, no driver, or no room in the guest's buffer.
    pub dropped: f64,
}

impl From<NicCounts> for NativeFrameCounts {
    fn from(counts: NicCounts) -> Self {
        Self {
            sent: counts.sent as f64,
            received: counts.received as f64,
            dropped: counts.dropped as f64,
        }
    }
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

impl NativeCounters {
    /// As JavaScript has them.
    pub fn of(counters: &Counters, network: impl Iterator<Item = NicCounts>) -> Self {
        let exits = NativeExitReason::ALL.into_iter().zip(&counters.exits);
        let routes = counters.routes().into_iter();
        Self {
            ring_waits: counters.ring_waits.get() as f64,
            kicks: counters.kicks.get() as f64,
            kvm_run_ms: counters.kvm_run_ns.get() as f64 / 1e6,
            network: network.map(NativeFrameCounts::from).collect(),
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
