//! Routes, converted from JavaScript's types to Rust's, and back.

use napi::bindgen_prelude::BigInt;
use napi_derive::napi;
use vmm::{Base, RouteConfig, RouteTarget, each_plain_target};

/// The kinds of routes, with the plain ones that the core names.
macro_rules! route_kinds {
    ({ $($plain:ident = $name:literal),+ }) => {
        /// Where the accesses of a route go.
        #[napi(string_enum = "lowercase")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum NativeRouteKind {
            Console,
            Constant,
            $(
                #[napi(value = $name)]
                $plain,
            )+
            Device,
            Queue,
            Coalesce,
            Event,
        }

        impl NativeRoute {
            fn target(&self) -> RouteTarget {
                let value = self.value.as_ref().map(|value| value.get_u64().1);
                match self.to {
                    NativeRouteKind::Console => RouteTarget::Console {
                        deliver: self.deliver.unwrap_or_default(),
                    },
                    NativeRouteKind::Constant => RouteTarget::Constant(value.unwrap_or_default()),
                    $(NativeRouteKind::$plain => RouteTarget::$plain,)+
                    NativeRouteKind::Device => RouteTarget::Device,
                    NativeRouteKind::Queue => RouteTarget::Queue { read_value: value },
                    NativeRouteKind::Coalesce => RouteTarget::Coalesce { read_value: value },
                    NativeRouteKind::Event => {
                        let match_value = self.datamatch.as_ref().map(|value| value.get_u64().1);
                        RouteTarget::Event {
                            datamatch: match_value.zip(self.size.map(|size| size as u8)),
                        }
                    }
                }
            }
        }
    };
}
each_plain_target!(route_kinds);

/// A route; exactly one of `port` and `gpa` is there.
#[napi(object)]
pub struct NativeRoute {
    /// First I/O port, 0 to 0xffff.
    pub port: Option<u32>,
    /// First guest physical address.
    pub gpa: Option<f64>,
    /// Ports or bytes, 1 to 2^32.
    pub length: f64,
    /// Where its accesses go.
    pub to: NativeRouteKind,
    /// For `constant`, and what reads of `queue` and `coalesce` give.
    pub value: Option<BigInt>,
    /// For `event`: only writes of this value count.
    pub datamatch: Option<BigInt>,
    /// For `event` with `datamatch`: bytes of the write, 1, 2, 4 or 8.
    pub size: Option<u32>,
    /// For `console`: whether a handler gets the bytes.
    pub deliver: Option<bool>,
}

impl NativeRoute {
    /// As JavaScript has it.
    pub(super) fn of(config: &RouteConfig) -> Self {
        let (port, gpa) = match config.base {
            Base::Port(port) => (Some(u32::from(port)), None),
            Base::Gpa(gpa) => (None, Some(gpa as f64)),
        };
        let bare = |to| Self {
            port,
            gpa,
            length: config.length as f64,
            to,
            value: None,
            datamatch: None,
            size: None,
            deliver: None,
        };
        let with = |to, value: Option<u64>| Self {
            value: value.map(BigInt::from),
            ..bare(to)
        };
        match config.target {
            RouteTarget::Console { deliver } => Self {
                deliver: Some(deliver),
                ..bare(NativeRouteKind::Console)
            },
            RouteTarget::Constant(value) => with(NativeRouteKind::Constant, Some(value)),
            RouteTarget::Discard => bare(NativeRouteKind::Discard),
            RouteTarget::Count => bare(NativeRouteKind::Count),
            RouteTarget::Stop => bare(NativeRouteKind::Stop),
            RouteTarget::Device => bare(NativeRouteKind::Device),
            RouteTarget::Queue { read_value } => with(NativeRouteKind::Queue, read_value),
            RouteTarget::Coalesce { read_value } => with(NativeRouteKind::Coalesce, read_value),
            RouteTarget::Event { datamatch } => Self {
                datamatch: datamatch.map(|(value, _)| BigInt::from(value)),
                size: datamatch.map(|(_, size)| u32::from(size)),
                ..bare(NativeRouteKind::Event)
            },
        }
    }

    /// As the core wants it.
    pub fn parse(&self) -> RouteConfig {
        let base = match (self.port, self.gpa) {
            (Some(port), _) => Base::Port(u16::try_from(port).unwrap_or(u16::MAX)),
            (None, gpa) => Base::Gpa(gpa.unwrap_or_default() as u64),
        };
        RouteConfig {
            base,
            length: self.length as u64,
            target: self.target(),
        }
    }
}
