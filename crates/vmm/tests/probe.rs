//! What the probe reports is what running each mode shows.

#[macro_use]
mod common;

use common::{CONSOLE, FLAT, PAGED32, REAL, exit, machine, port, probe, run};
use vmm::{CpuMode, Privilege};

#[test]
fn every_kvm_runs_real_protected_and_long_mode() {
    require!();
    for report in &probe().modes {
        if report.mode != CpuMode::Paged32 {
            assert_eq!(report.reason, None, "{report:?}");
        }
    }
}

#[test]
fn every_mode_and_ring_is_reported_once() {
    require!();
    let reported: Vec<_> = probe()
        .modes
        .iter()
        .map(|report| (report.mode, report.privilege))
        .collect();
    let [protected, long, user] = FLAT;
    assert_eq!(reported, [REAL, protected, PAGED32, long, user]);
    assert_eq!(user, (CpuMode::Long, Privilege::User));
}

#[test]
fn a_mode_that_the_probe_gives_a_reason_for_ends_with_it() {
    require!();
    // The instructions of the probe's guest, without its exit port.
    const GUEST: &str = "
        b0 2a ; mov $42,%al
        e6 f4 ; out %al,$0xf4
        f4    ; hlt
    ";
    let paged32 = probe()
        .modes
        .iter()
        .find(|report| report.mode == CpuMode::Paged32);
    let Some(reason) = paged32.and_then(|report| report.reason.as_deref()) else {
        skip!("this KVM runs every mode");
    };
    let outcome = run(&mut machine(PAGED32, GUEST, &[port(0xf4, 1, CONSOLE)]));
    assert_eq!(
        (exit(&outcome).name(), outcome.output.bytes),
        (reason, vec![])
    );
}

#[test]
fn what_every_machine_needs_is_reported_as_present() {
    require!();
    let report = probe();
    assert_eq!(report.api_version, 12);
    for name in [
        "KVM_CAP_USER_MEMORY",
        "KVM_CAP_IMMEDIATE_EXIT",
        "KVM_CAP_EXT_CPUID",
    ] {
        let values: Vec<_> = report
            .capabilities
            .iter()
            .filter(|capability| capability.name == name)
            .map(|capability| capability.value > 0)
            .collect();
        assert_eq!(values, [true], "{name}");
    }
    assert!(report.exit_cost_ns > 0.0, "{}", report.exit_cost_ns);
}
