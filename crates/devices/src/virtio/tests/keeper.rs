//! A device that keeps what it takes until it is told to give it back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::virtio::{Chain, Rings, VirtioDevice, Waker};

/// The host's end.
#[derive(Clone, Debug, Default)]
pub struct Desk(Arc<Mutex<Papers>>);

#[derive(Debug, Default)]
struct Papers {
    waker: Waker,
    /// Chains that are to be answered, newest first or oldest first.
    answers: VecDeque<bool>,
    kept: usize,
    resets: usize,
    is_parked: bool,
}

impl Desk {
    /// Has a chain given back with a byte of 7 in it: the newest, or the oldest.
    pub fn answer(&self, newest: bool) {
        let mut papers = self.0.lock().unwrap();
        papers.answers.push_back(newest);
        papers.waker.wake();
    }

    pub fn kept(&self) -> usize {
        self.0.lock().unwrap().kept
    }

    pub fn resets(&self) -> usize {
        self.0.lock().unwrap().resets
    }

    pub fn is_parked(&self) -> bool {
        self.0.lock().unwrap().is_parked
    }
}

/// The device, of one queue.
#[derive(Debug, Default)]
pub struct Keeper {
    pub desk: Desk,
    pub chains: VecDeque<Chain>,
    /// Whether chains from before a reset are kept, as no device should.
    pub is_stubborn: bool,
    pub config: Vec<u8>,
}

impl VirtioDevice for Keeper {
    fn kind(&self) -> u32 {
        42
    }

    fn name(&self) -> &'static str {
        "virtio-keeper"
    }

    fn features(&self) -> u64 {
        0b101
    }

    fn queue_sizes(&self) -> &[u16] {
        &[8]
    }

    fn config(&self) -> &[u8] {
        &self.config
    }

    fn write_config(&mut self, offset: u32, data: &[u8]) {
        let places = self.config.iter_mut().skip(offset as usize);
        places.zip(data).for_each(|(to, from)| *to = *from);
    }

    fn attach(&mut self, waker: Waker) {
        self.desk.0.lock().unwrap().waker = waker;
    }

    fn reset(&mut self) {
        let mut papers = self.desk.0.lock().unwrap();
        papers.resets += 1;
        if !self.is_stubborn {
            self.chains.clear();
            papers.kept = 0;
        }
    }

    fn work(&mut self, rings: &mut Rings<'_>) {
        while let Some(chain) = rings.next(0) {
            self.chains.push_back(chain);
        }
        let mut papers = self.desk.0.lock().unwrap();
        papers.is_parked = false;
        while let Some(newest) = papers.answers.pop_front() {
            let chain = if newest {
                self.chains.pop_back()
            } else {
                self.chains.pop_front()
            };
            let Some(chain) = chain else { continue };
            let written = chain.writable.write(rings.memory(), 0, &[7]);
            rings.complete(0, chain, written as u32);
        }
        papers.kept = self.chains.len();
    }

    fn park(&mut self) {
        self.desk.0.lock().unwrap().is_parked = true;
    }

    fn save(&self) -> Vec<u8> {
        self.config.clone()
    }

    fn restore(&mut self, state: &[u8]) -> bool {
        self.config = state.to_vec();
        true
    }
}
