//! Where a machine's memory came from: the image that each slot shows, and how it becomes that
//! again.
#![allow(unsafe_code)]

use std::sync::{Arc, Weak};

use crate::error::Result;
use crate::kvm::image::pages::{Layout, Pages, Span};
use crate::kvm::image::{MemoryImage, pagemap};
use crate::kvm::vm::Vm;

/// Restores after which pages that were noted as written, and that none of them found changed, are
/// noted no longer. To note a page costs the guest a fault, about as much as comparing it so often.
const PATIENCE: u32 = 200;

/// Pages that memory may have of its own while no machine has it.
const MOST_OWN: usize = 64;

/// How often it is left with such pages: what the host wrote is not noted for longer than a
/// restore, so these may be others each time.
const MOST_LEFT: u32 = 32;

/// What a machine knows of its memory's past.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    /// By slot: the image that is mapped there, since the first snapshot.
    shown: Vec<Option<Arc<MemoryImage>>>,
    /// From the first restore on: to note writes costs the guest time, and a machine that is never
    /// restored does without.
    notes: Option<Notes>,
    /// How often the memory was left with pages of its own.
    left: u32,
}

/// What is noted of writes, in all slots.
#[derive(Debug)]
struct Notes {
    layout: Layout,
    /// What may differ from the image, while a restore looks.
    written: Pages,
    /// What a restore found changed, of the last ones.
    changed: Pages,
    /// How many those are.
    restores: u32,
}

impl Origin {
    /// Of memory that was made of an image.
    pub fn of_image(image: &Arc<MemoryImage>) -> Self {
        let slots = image.layout().spans().iter();
        Self {
            shown: slots.map(|_| Some(Arc::clone(image))).collect(),
            ..Self::default()
        }
    }

    /// The memory as it is, on an idle machine. Its slots show the image from then on.
    ///
    /// # Errors
    /// `Limit`, `KvmIoctl`; the memory stays as it is.
    pub fn image(&mut self, vm: &Vm) -> Result<Arc<MemoryImage>> {
        let layout = vm.memory().layout();
        self.shown.resize(layout.spans().len(), None);
        let mut own = Pages::none(&layout);
        for span in layout.spans() {
            add_private(vm, span, &mut own);
        }
        if let Some(image) = self.unchanged(vm, &layout, &own) {
            return Ok(image);
        }
        let mut all = own.clone();
        for (span, shown) in layout.spans().iter().zip(&self.shown) {
            let used = shown.as_ref().map(|image| image.used().words(span));
            for (word, used) in all.words_mut(span).iter_mut().zip(used.unwrap_or_default()) {
                *word |= used;
            }
        }
        let source = |page| {
            let (index, span) = layout.find(page)?;
            match self.shown.get(index)? {
                // What was never written is the image's.
                Some(image) if !own.contains(page) => image.page(page),
                _ => vm.memory().mapped(span)?.page(page),
            }
        };
        // SAFETY: pages of slots and of images; no vCPU runs, and the host writes on this thread.
        let image = unsafe { MemoryImage::new(layout.clone(), &all, source) }?;
        let image = Arc::new(image);
        self.show(vm, &image)?;
        Ok(image)
    }

    /// The image that all slots show, if each page is as in it.
    fn unchanged(&self, vm: &Vm, layout: &Layout, own: &Pages) -> Option<Arc<MemoryImage>> {
        let image = self.shown.first()?.as_ref()?;
        let is_as = |page| {
            let at = layout
                .find(page)
                .and_then(|(_, span)| vm.memory().mapped(span)?.page(page));
            // SAFETY: a page of a slot; no vCPU runs, and the host writes on this thread.
            at.is_some_and(|at| unsafe { image.is_as(page, at) })
        };
        let same = self.shows(image) && own.iter().all(is_as);
        same.then(|| Arc::clone(image))
    }

    fn shows(&self, image: &Arc<MemoryImage>) -> bool {
        let mut shown = self.shown.iter();
        shown.all(|shown| {
            shown
                .as_ref()
                .is_some_and(|shown| Arc::ptr_eq(shown, image))
        })
    }

    /// Makes the memory of an idle machine what it is in an image with the same slots.
    ///
    /// # Errors
    /// `KvmIoctl`; the memory is then undefined, and a further restore makes it whole.
    pub fn restore(&mut self, vm: &Vm, image: &Arc<MemoryImage>) -> Result<()> {
        let shows = self.shows(image);
        match &mut self.notes {
            Some(notes) if shows => return notes.put_back(vm, image),
            _ => self.show(vm, image)?,
        }
        if self.notes.is_none() {
            self.take_notes(vm)?;
        }
        Ok(())
    }

    /// Whether all slots show one image, which somebody else has, too.
    pub fn is_wanted(&self) -> bool {
        let mut shown = self.shown.iter().flatten();
        shown
            .next()
            .is_some_and(|image| self.shows(image) && Arc::strong_count(image) > self.shown.len())
    }

    /// Makes memory its image's again, for a machine to come, and lets go of the image: nothing
    /// that was written is left, and little of it takes space.
    pub fn leave(&mut self, vm: &Vm) -> Option<Weak<MemoryImage>> {
        let image = Arc::clone(self.shown.first()?.as_ref()?);
        self.restore(vm, &image).ok()?;
        let own = self.notes.as_ref().map_or(0, Notes::count);
        self.left += 1;
        if own > MOST_OWN || self.left > MOST_LEFT {
            self.show(vm, &image).ok()?;
            self.left = 0;
        }
        self.shown.clear();
        Some(Arc::downgrade(&image))
    }

    /// After [`leave`](Self::leave): the image is shown again, on the same slots.
    pub fn adopt(&mut self, image: &Arc<MemoryImage>) {
        let slots = image.layout().spans().iter();
        self.shown = slots.map(|_| Some(Arc::clone(image))).collect();
    }

    /// Maps an image over all slots; what was written before is forgotten.
    fn show(&mut self, vm: &Vm, image: &Arc<MemoryImage>) -> Result<()> {
        let spans = image.layout().spans();
        self.shown.resize(spans.len(), None);
        for (span, shown) in spans.iter().zip(&mut self.shown) {
            vm.memory().show(image, span)?;
            *shown = Some(Arc::clone(image));
            vm.memory().settle(span)?;
        }
        self.notes.as_mut().map_or(Ok(()), |notes| notes.forget(vm))
    }

    fn take_notes(&mut self, vm: &Vm) -> Result<()> {
        vm.log_writes()?;
        let layout = vm.memory().layout();
        for span in layout.spans() {
            if let Some(written) = vm.memory().written(span) {
                written.begin();
            }
        }
        self.notes = Some(Notes {
            written: Pages::default(),
            changed: Pages::default(),
            restores: 0,
            layout,
        });
        Ok(())
    }
}

impl Notes {
    /// Pages that the last restore looked at.
    fn count(&self) -> usize {
        self.written.iter().count()
    }

    /// Copies back the pages that were written.
    fn put_back(&mut self, vm: &Vm, image: &MemoryImage) -> Result<()> {
        self.look(vm)?;
        for span in self.layout.spans() {
            let Some(mapped) = vm.memory().mapped(span) else {
                continue;
            };
            for page in self.written.of(span) {
                let Some(to) = mapped.page(page) else {
                    continue;
                };
                // SAFETY: a page of the slot; no vCPU runs, and the host writes on this thread.
                if unsafe { image.put_back(page, to) } {
                    self.changed.insert(page);
                }
            }
        }
        self.restores += 1;
        if self.restores >= PATIENCE {
            self.lose_patience(vm)?;
        }
        Ok(())
    }

    /// Finds out what may have been written, by the guest or by the host.
    fn look(&mut self, vm: &Vm) -> Result<()> {
        if self.written.is_unmade() {
            self.written = Pages::none(&self.layout);
            self.changed = Pages::none(&self.layout);
        }
        for (index, span) in self.layout.spans().iter().enumerate() {
            let words = self.written.words_mut(span);
            if span.slot.read_only {
                words.fill(0);
            } else {
                vm.writes(index, words)?;
            }
            if let Some(written) = vm.memory().written(span) {
                written.take(words);
            }
            if vm.memory().is_lent(span) {
                add_private(vm, span, &mut self.written);
            }
        }
        Ok(())
    }

    /// Notes no longer what only was written once. All pages are as in the image now.
    fn lose_patience(&mut self, vm: &Vm) -> Result<()> {
        self.look(vm)?;
        for (index, span) in self.layout.spans().iter().enumerate() {
            let changed = self.changed.words(span);
            let words = self.written.words_mut(span);
            for (word, changed) in words.iter_mut().zip(changed) {
                *word &= !changed;
            }
            if !span.slot.read_only && words.iter().any(|word| *word != 0) {
                vm.clear_writes(index, words)?;
            }
        }
        self.changed.clear();
        self.restores = 0;
        Ok(())
    }

    /// All pages are as in another image.
    fn forget(&mut self, vm: &Vm) -> Result<()> {
        self.changed.clear();
        self.lose_patience(vm)
    }
}

/// Adds the pages of a slot that are this machine's own.
fn add_private(vm: &Vm, span: &Span, into: &mut Pages) {
    let Some(mapped) = vm.memory().mapped(span) else {
        return;
    };
    let start = mapped.start.addr().get();
    pagemap::each_private(start, span.count, &mut |first, count| {
        for page in first..first + count {
            into.insert(span.first + page);
        }
    });
}
