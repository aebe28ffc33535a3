//! Which stops a vCPU has come to.

use crate::debug::{Hit, HitKind, Stop, StopAt, StopKind, VirtualMemory};
use crate::kvm::exit::Exit;
use crate::run::processor::Processor;

use super::course::Stopping;
use super::exits::BREAKPOINT;
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
        let gpa = self.gpa(processor, &special, pc);
        let is_there = |stop: &&Stop| match stop.kind {
            StopKind::Breakpoint(StopAt::Linear(linear)) => linear == pc,
            StopKind::Breakpoint(StopAt::Gpa(at)) => gpa == Some(at),
            _ => false,
        };
        let hit = |stop: &Stop| Hit {
            id: Some(stop.id),
            kind: HitKind::Breakpoint,
            address: pc,
            watched: None,
            asks: stop.asks,
        };
        self.all.stops.iter().filter(is_there).map(hit).collect()
    }

    fn after_step(&self, processor: &mut Processor, pc: u64) -> Vec<Hit> {
        let mut hits = match (processor.paging(), processor.vcpu.registers()) {
            (Ok(paging), Ok(after)) => {
                let memory = VirtualMemory::new(paging, self.all.memory);
                watches::hits(self.all.stops, &memory, &after, &mut processor.stops)
            }
            _ => Vec::new(),
        };
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

    /// Handlers were asked.
    pub fn settled(&self, exit: &Exit, processor: &mut Processor) {
        let Exit::Debug { exception, pc, .. } = exit else {
            return;
        };
        processor.stops.hits.clear();
        processor.stops.past = (*exception == u32::from(BREAKPOINT)).then_some(*pc);
    }
}
