//! The saved states of devices, in plain values.

/// The saved state of a device, in plain values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Of a device that has none.
    None,
    /// Of an [`I8042`](crate::I8042).
    I8042(I8042State),
    /// Of a [`Cmos`](crate::Cmos).
    Cmos(CmosState),
    /// Of a [`Pm1`](crate::Pm1).
    Pm1(Pm1State),
    /// Of a [`ResetControl`](crate::ResetControl).
    ResetControl(ResetControlState),
    /// Of a device from elsewhere, in its own encoding.
    Bytes(Vec<u8>),
}

/// The registers of an [`I8042`](crate::I8042).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct I8042State {
    /// The byte that waits in the data port.
    pub output: Option<u8>,
    /// It says that a device did not answer in time.
    pub timed_out: bool,
    /// The configuration byte.
    pub config: u8,
    /// The output port.
    pub output_port: u8,
    /// Who gets the next byte written to the data port.
    pub taker: Taker,
}

/// Who gets the next byte written to the data port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taker {
    /// The keyboard or the auxiliary device.
    Device,
    /// The configuration byte.
    Config,
    /// The output port.
    OutputPort,
    /// The data port itself.
    Echo,
}

/// The registers of a [`Cmos`](crate::Cmos), but for the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CmosState {
    /// The register that the data port is for.
    pub index: u8,
    /// The memory, where the clock's registers lie unused.
    pub bytes: [u8; 128],
}

/// The registers of a [`Pm1`](crate::Pm1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pm1State {
    /// PM1 enable.
    pub enable: [u8; 2],
    /// PM1 control.
    pub control: [u8; 2],
}

/// The register of a [`ResetControl`](crate::ResetControl).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResetControlState {
    /// The bits last written.
    pub value: u8,
}
