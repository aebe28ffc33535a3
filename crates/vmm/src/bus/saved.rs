//! The saved state of what stands on a bus. It holds what was not handed over yet: what a handler
//! or a consumer has got is not undone, and what was counted stays counted.

use std::borrow::Cow;

use devices::Output;
use serde::{Deserialize, Serialize};

use crate::bus::backend::Held;
use crate::bus::claim::Claim;
use crate::bus::feed::look_into;
use crate::bus::route::Route;
use crate::error::{Error, ErrorCode, Result};

/// Everything that stands on a bus, in its order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct BusState {
    pub routes: Vec<RouteState>,
    /// Console text for the outcome.
    pub output: Output,
}

/// One route. Which one it is of another bus, claim and owner say.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct RouteState {
    pub claim: Claim,
    /// Whether the caller made it; the machine's own may claim the same.
    pub is_callers: bool,
    /// What kind of thing stands there.
    pub kind: Cow<'static, str>,
    pub held: Held,
    /// What the device's ioeventfds have counted and it has not taken.
    pub bells: Vec<u64>,
}

impl BusState {
    pub fn of(routes: &mut [Route], output: &Output) -> Self {
        Self {
            routes: routes.iter_mut().map(RouteState::of).collect(),
            output: output.clone(),
        }
    }

    /// Refuses routes of other claims or kinds.
    ///
    /// # Errors
    /// `Snapshot`, naming the first.
    pub fn check(&self, routes: &[Route]) -> Result<()> {
        for (index, saved) in self.routes.iter().enumerate() {
            let place = place_of(routes, index, saved);
            match place.and_then(|place| routes.get(place)) {
                Some(route) => saved.check(route)?,
                None => return Err(missing(&saved.claim, true)),
            }
        }
        let unsaved = |(index, route): &(usize, &Route)| {
            let mut saved = self.routes.iter();
            let same = self.routes.get(*index);
            !same.is_some_and(|one| one.is_of(route)) && !saved.any(|one| one.is_of(route))
        };
        match routes.iter().enumerate().find(unsaved) {
            Some((_, route)) => Err(missing(&route.row.claim, false)),
            None => Ok(()),
        }
    }

    /// Puts it back on routes that were checked.
    ///
    /// # Errors
    /// `Snapshot` for what nothing saves.
    pub fn restore(&self, routes: &mut [Route], output: &mut Output) -> Result<()> {
        output.clone_from(&self.output);
        for (index, saved) in self.routes.iter().enumerate() {
            let place = place_of(routes, index, saved);
            if let Some(route) = place.and_then(|place| routes.get_mut(place)) {
                saved.restore(route, output)?;
            }
        }
        Ok(())
    }
}

/// The route that a state is of, most often the one with its index.
fn place_of(routes: &[Route], index: usize, saved: &RouteState) -> Option<usize> {
    let same = routes.get(index).filter(|route| saved.is_of(route));
    let found = same.map(|_| index);
    found.or_else(|| routes.iter().position(|route| saved.is_of(route)))
}

impl RouteState {
    fn of(route: &mut Route) -> Self {
        let bells = route.doorbells.iter().map(|bell| look_into(&bell.fd));
        Self {
            claim: route.row.claim,
            is_callers: route.row.standing.is_callers(),
            kind: route.kind.clone(),
            bells: bells.collect(),
            held: route.backend_mut().save(),
        }
    }

    /// Whether this was saved of this route.
    fn is_of(&self, route: &Route) -> bool {
        self.claim == route.row.claim && self.is_callers == route.row.standing.is_callers()
    }

    /// Refuses the route of another kind.
    ///
    /// # Errors
    /// `Snapshot`.
    fn check(&self, route: &Route) -> Result<()> {
        if self.kind == route.kind && self.bells.len() == route.doorbells.len() {
            return Ok(());
        }
        Err(misfit(format!(
            "the snapshot has another kind of route at {} than this machine",
            self.claim.describe()
        )))
    }

    /// Puts it back.
    ///
    /// # Errors
    /// `Snapshot` for what nothing saves.
    fn restore(&self, route: &mut Route, output: &mut Output) -> Result<()> {
        for (bell, count) in route.doorbells.iter().zip(&self.bells) {
            // Non-blocking, and empty when it is written.
            bell.fd.read().ok();
            if *count > 0 {
                bell.fd.write(*count).ok();
            }
        }
        if route.backend_mut().restore(&self.held, output) {
            return Ok(());
        }
        Err(misfit(format!(
            "what the snapshot has of {} is none of its states",
            self.claim.describe()
        )))
    }
}

/// What the one has and the other lacks.
pub(crate) fn missing(claim: &Claim, is_saved: bool) -> Error {
    let claim = claim.describe();
    misfit(if is_saved {
        format!("the snapshot has a route at {claim}, and this machine has none; attach it first")
    } else {
        format!("this machine has a route at {claim}, and the snapshot has none; detach it first")
    })
}

fn misfit(what: String) -> Error {
    Error::new(ErrorCode::Snapshot, what)
}

#[cfg(test)]
mod tests;
