//! What the machine itself can do, measured with the calls that a log is made of.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Instant;

use crate::measure::{Bench, Result, Start, median, progress};

const GROUP: &str = "limits of the machine";
const MIB: usize = 1 << 20;

/// The names that targets refer to.
pub(crate) const SEQUENTIAL: &str = "sequential write, 1 MiB each, one fdatasync at the end";
pub(crate) const SEQUENTIAL_SYNCED: &str = "sequential write, 1 MiB each, fdatasync after each";
pub(crate) const OVERWRITE: &str = "overwrite of 16 KiB + fdatasync";
pub(crate) const OVERWRITE_256: &str = "overwrite of 256 KiB + fdatasync";
pub(crate) const PAGE_CACHE: &str = "write of 16 KiB into the page cache";
pub(crate) const COPY: &str = "copy of memory, 16 MiB";

pub(crate) async fn run(bench: &mut Bench) -> Result {
    let mib = bench.size().pick(4, 512, 1024);
    let rounds = bench
        .repeat("limits of the machine", async |bench| {
            let folder = bench.folder()?;
            let path = folder.path().join("file");
            Ok([
                sequential(&path, mib, false)?,
                sequential(&path, mib / 2, true)?,
                overwrites(&path, mib / 2, 16 << 10)?,
                overwrites(&path, mib / 2, 256 << 10)?,
                page_cache(&path, mib / 2)?,
                copies(mib)?,
            ])
        })
        .await?;
    let of = |at: usize| median(rounds.iter().map(|round| round[at]).collect());
    let report = &mut bench.report;
    report.add(GROUP, SEQUENTIAL, of(0), "MB/s");
    report.add(GROUP, SEQUENTIAL_SYNCED, of(1), "MB/s");
    report.add(GROUP, OVERWRITE, of(2), "us");
    report.add(GROUP, OVERWRITE_256, of(3), "us");
    report.add(GROUP, PAGE_CACHE, of(4), "us");
    report.add(GROUP, COPY, of(5), "MB/s");
    Ok(())
}

/// MB/s of writes of 1 MiB to a new file.
pub(crate) fn sequential(path: &Path, mib: usize, sync_each: bool) -> Result<f64> {
    progress("  sequential writes");
    let block = noise(MIB);
    let mut file = File::create(path)?;
    let start = Start::now();
    for _ in 0..mib {
        file.write_all(&block)?;
        if sync_each {
            file.sync_data()?;
        }
    }
    file.sync_data()?;
    let rate = start.cost().per_second((mib * MIB) as f64 / 1e6);
    std::fs::remove_file(path)?;
    Ok(rate)
}

/// Microseconds of one synced overwrite of a file that is there: the median.
fn overwrites(path: &Path, times: usize, len: usize) -> Result<f64> {
    progress("  synced overwrites");
    let block = noise(len);
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(path)?;
    let places = (16 * MIB / len) as u64;
    for place in 0..places {
        file.write_all_at(&block, place * len as u64)?;
    }
    file.sync_all()?;
    let mut took = Vec::with_capacity(times);
    for place in 0..times as u64 {
        let begin = Instant::now();
        file.write_all_at(&block, place % places * len as u64)?;
        file.sync_data()?;
        took.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    std::fs::remove_file(path)?;
    Ok(median(took))
}

/// Microseconds of one write of 16 KiB to the end of a file, without a sync.
fn page_cache(path: &Path, mib: usize) -> Result<f64> {
    let block = noise(16 << 10);
    let writes = mib * 64;
    let mut file = File::create(path)?;
    let start = Start::now();
    for _ in 0..writes {
        file.write_all(&block)?;
    }
    let cost = start.cost();
    std::fs::remove_file(path)?;
    Ok(cost.cpu_us(writes as f64))
}

/// MB/s of copies between two blocks of memory that no cache holds.
fn copies(mib: usize) -> Result<f64> {
    let from = noise(16 * MIB);
    let mut to = noise(16 * MIB);
    let times = (mib / 4).max(4);
    let start = Start::now();
    for _ in 0..times {
        to.copy_from_slice(std::hint::black_box(&from));
        std::hint::black_box(&mut to);
    }
    Ok(start.cost().per_second((times * from.len()) as f64 / 1e6))
}

/// Bytes that do not compress.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(len);
    bytes
}
