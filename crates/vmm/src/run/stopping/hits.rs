//! Which stops a vCPU has come to.

use boot::state::traps::BREAKPOINT;

use crate::debug::{Hit, HitKind, Stop, StopKind, VirtualMemory};
use crate::kvm::exit::Exit;
use crate::run::processor::Processor;

use super::course::Stopping;
use super::watches;

impl Stopping<'_> {
    /// What a stop of ours shows has come to. Asked again after a pause it is the same.
    pub fn hits(&self, exit: &Exit, processor: &mut Processor) -> Vec<Hit> {
        if !processor.stops.hits.is_empty() {
            return processor.stops.hits.clone();
        }
        let Exit::Debug { exception, pc, .. } = exit else {
            return Vec::new();
        };
        let hits = if *exception == u32::from(BREAKPOINT) {
            self.breakpoints(processor, *pc)
        } else {
            self.after_step(processor, *pc)
        };
        processor.stops.hits.clone_from(&hits);
        hits
    }

    /// Whether a stop that was found is still wanted.
    pub fn is_wanted(&self, hit: &Hit) -> bool {
        let is_there = |id| self.all.stops.iter().any(|stop| stop.id == id);
        hit.id.is_none_or(is_there)
    }

    fn breakpoints(&self, processor: &mut Processor, pc: u64) -> Vec<Hit> {
        let Ok(special) = processor.vcpu.special_registers() else {
            return Vec::new();
        };
        let hit = |stop: &Stop| Hit {
            id: Some(stop.id),
            kind: HitKind::Breakpoint,
            address: pc,
            watched: None,
            asks: stop.asks,
        };
        let there = self.breakpoints_at(processor, &special, pc);
        there.map(hit).collect()
    }

    fn after_step(&self, processor: &mut Processor, pc: u64) -> Vec<Hit> {
        let mut hits = self.watchpoints(processor).unwrap_or_default();
        let step = |id, kind, asks| Hit {
            id,
            kind,
            address: pc,
            watched: None,
            asks,
        };
        for stop in self.all.stops {
            if matches!(stop.kind, StopKind::Step { vcpu, .. } if vcpu == processor.index) {
                hits.push(step(Some(stop.id), HitKind::Step, stop.asks));
            }
        }
        if let Some(steps) = self.all.steps {
            let is_last = self.all.take();
            if steps.asks {
                hits.push(step(None, steps.ends, true));
            }
            if is_last {
                hits.push(step(None, steps.ends, false));
            }
        }
        hits
    }

    /// None if nothing is watched, or known.
    fn watchpoints(&self, processor: &mut Processor) -> Option<Vec<Hit>> {
        let noted = processor.stops.watched.take()?;
        let paging = processor.paging().ok()?;
        let memory = VirtualMemory::new(paging, self.all.memory);
        let after = processor.vcpu.registers().ok()?;
        Some(watches::hits(self.all.stops, &memory, &noted, &after))
    }

    /// Handlers were asked.
    pub fn settled(&self, exit: &Exit, processor: &mut Processor) {
        let Exit::Debug { exception, pc, .. } = exit else {
            return;
        };
        let kept = &mut processor.stops;
        kept.hits.clear();
        // An instruction that repeats is told of once, whatever its rounds.
        let is_in_midst = kept.repeats && kept.past == Some(*pc);
        if !is_in_midst {
            kept.past = (*exception == u32::from(BREAKPOINT)).then_some(*pc);
        }
    }
}
