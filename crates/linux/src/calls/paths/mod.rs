//! System calls by path, and on what was opened by its path. They are answered for a program that
//! has a tree; without one, paths are the host's.

mod base;
mod changing;
mod directories;
mod opening;
mod room;
mod status;
mod texts;
mod times;

use super::copying;
use super::resources::Resources;
use super::world::{Answer, World};
use crate::files::Files;

/// Answers a call of this subject.
pub fn answer(
    number: u32,
    arguments: [u64; 6],
    files: &mut Files,
    resources: &Resources,
    world: &mut World<'_>,
) -> Option<Answer> {
    status::answer(number, arguments, files, world).or_else(|| {
        files.tree.as_ref()?;
        opening::answer(number, arguments, files, resources, world)
            .or_else(|| directories::answer(number, arguments, files, world))
            .or_else(|| changing::answer(number, arguments, files, world))
            .or_else(|| times::answer(number, arguments, files, world))
            .or_else(|| room::answer(number, arguments, files, world))
            .or_else(|| copying::answer(number, arguments, files, world))
    })
}
