//! What a command costs: wall time, processor time, peak memory.
//!
//! The kernel keeps the peak of all children that ended, not of the last one. So a program that measures
//! several commands starts each through the `measure` binary, which measures one and ends.

use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde_json::{Value, json};

/// What a command and everything it waited for used.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// From start to end.
    pub wall: Duration,
    /// Processor time in user mode.
    pub user: Duration,
    /// Processor time in the kernel.
    pub system: Duration,
    /// Peak resident memory, of the largest process where there were several.
    pub memory_bytes_max: u64,
}

impl Usage {
    /// User and system time.
    pub fn cpu(&self) -> Duration {
        self.user + self.system
    }

    /// As one JSON object: seconds and bytes.
    pub fn to_json(&self) -> Value {
        json!({
            "wall_s": self.wall.as_secs_f64(),
            "user_s": self.user.as_secs_f64(),
            "system_s": self.system.as_secs_f64(),
            "cpu_s": self.cpu().as_secs_f64(),
            "memory_bytes_max": self.memory_bytes_max,
        })
    }

    /// Reads what [`Usage::to_json`] wrote.
    pub fn from_json(value: &Value) -> Option<Usage> {
        let seconds = |name: &str| value[name].as_f64().map(Duration::from_secs_f64);
        Some(Usage {
            wall: seconds("wall_s")?,
            user: seconds("user_s")?,
            system: seconds("system_s")?,
            memory_bytes_max: value["memory_bytes_max"].as_u64()?,
        })
    }
}

/// Runs a command to its end and measures it. True only for the first command of a process.
///
/// # Errors
/// If it cannot be started.
pub fn measure(command: &mut Command) -> std::io::Result<(ExitStatus, Usage)> {
    let started = Instant::now();
    let status = command.status()?;
    let children = used(UsageWho::RUSAGE_CHILDREN)?;
    Ok((status, Usage { wall: started.elapsed(), ..children }))
}

/// Does something in this process and measures it, with the processes that it starts and waits for. Peak memory is that
/// of the process so far.
///
/// # Errors
/// If the kernel does not say.
pub fn of<T>(work: impl FnOnce() -> T) -> std::io::Result<(T, Usage)> {
    let both = || Ok::<_, std::io::Error>([used(UsageWho::RUSAGE_SELF)?, used(UsageWho::RUSAGE_CHILDREN)?]);
    let (started, before) = (Instant::now(), both()?);
    let done = work();
    let (wall, after) = (started.elapsed(), both()?);
    let spent = |time: fn(&Usage) -> Duration| -> Duration {
        after.iter().zip(&before).map(|(after, before)| time(after).saturating_sub(time(before))).sum()
    };
    let (user, system) = (spent(|usage| usage.user), spent(|usage| usage.system));
    let memory_bytes_max = after.iter().map(|usage| usage.memory_bytes_max).max().unwrap_or(0);
    Ok((done, Usage { wall, user, system, memory_bytes_max }))
}

/// What somebody has used so far, but for the time.
fn used(who: UsageWho) -> std::io::Result<Usage> {
    let used = getrusage(who)?;
    Ok(Usage {
        wall: Duration::ZERO,
        user: duration(used.user_time()),
        system: duration(used.system_time()),
        // Linux counts in KiB.
        memory_bytes_max: used.max_rss() as u64 * 1024,
    })
}

fn duration(time: TimeVal) -> Duration {
    Duration::from_secs(time.tv_sec() as u64) + Duration::from_micros(time.tv_usec() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_reads_back_from_its_json() {
        let usage = Usage {
            wall: Duration::from_millis(1500),
            user: Duration::from_millis(1200),
            system: Duration::from_millis(100),
            memory_bytes_max: 4096,
        };
        let back = Usage::from_json(&usage.to_json()).expect("all fields");
        assert_eq!((back.wall, back.cpu()), (usage.wall, Duration::from_millis(1300)));
        assert_eq!(back.memory_bytes_max, 4096);
    }

    #[test]
    fn work_in_this_process_and_in_those_that_it_waits_for_is_measured() {
        let busy = || {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(60) {}
        };
        let ((), own) = of(busy).expect("a usage");
        assert!(own.wall >= Duration::from_millis(60) && own.cpu() > Duration::ZERO, "{own:?}");
        let loops =
            || Command::new("sh").args(["-c", "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done"]).status();
        let (status, child) = of(loops).expect("a usage");
        assert!(status.is_ok_and(|status| status.success()) && child.cpu() > Duration::ZERO, "{child:?}");
    }

    #[test]
    fn a_busy_command_costs_processor_time_and_memory() {
        let mut command = Command::new("sh");
        command.args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"]);
        let (status, usage) = measure(&mut command).expect("a shell");
        assert!(status.success());
        assert!(usage.cpu() > Duration::ZERO && usage.memory_bytes_max > 100_000, "{usage:?}");
    }
}
