//! Temperature: the thermal zones of `/sys`, or its hardware monitors where there are none.

use std::fs;
use std::path::{Path, PathBuf};

use periwinkle_core::limits::{METRICS_SENSOR_SCAN_READINGS, METRICS_SENSORS_MAX};

use super::Hundredths;
use super::parse::parse_temperature;
use super::source::{Buffer, Source};

/// The sensors that were found, looked for again from time to time.
pub(super) struct Sensors {
    zones: PathBuf,
    monitors: PathBuf,
    found: Vec<Source>,
    scan_in: u32,
}

impl Sensors {
    pub(super) fn new(root: &Path) -> Sensors {
        Sensors {
            zones: root.join("sys/class/thermal"),
            monitors: root.join("sys/class/hwmon"),
            found: Vec::new(),
            scan_in: 0,
        }
    }

    /// The hottest of all sensors; `None` when none can be read.
    pub(super) fn hottest(&mut self, buffer: &mut Buffer) -> Option<Hundredths> {
        if self.scan_in == 0 {
            self.scan(buffer);
        }
        self.scan_in -= 1;
        hottest(&mut self.found, buffer)
    }

    /// Monitors are looked at only when no zone tells a temperature: they are read over slow buses
    /// and mostly repeat what the zones say.
    fn scan(&mut self, buffer: &mut Buffer) {
        self.scan_in = METRICS_SENSOR_SCAN_READINGS;
        self.found = sources(files(&self.zones, "thermal_zone", |name| name == "temp"));
        if hottest(&mut self.found, buffer).is_none() {
            let is_input = |name: &str| name.starts_with("temp") && name.ends_with("_input");
            self.found = sources(files(&self.monitors, "hwmon", is_input));
        }
    }
}

fn hottest(sensors: &mut [Source], buffer: &mut Buffer) -> Option<Hundredths> {
    sensors
        .iter_mut()
        .filter_map(|sensor| parse_temperature(&sensor.read(buffer)?))
        .max()
}

/// Sorted, so that the same sensors are kept on a device with more of them than the bound.
fn sources(mut paths: Vec<PathBuf>) -> Vec<Source> {
    paths.sort();
    paths.truncate(METRICS_SENSORS_MAX);
    paths.into_iter().map(Source::new).collect()
}

/// The files `class/{prefix}*/{wanted}`.
fn files(class: &Path, prefix: &str, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for device in entries(class, |name| name.starts_with(prefix)) {
        found.extend(entries(&device, &wanted));
    }
    found
}

fn entries(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(&wanted)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            write(root.path(), path, text);
        }
        root
    }

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join("sys/class").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn hottest_of(root: &Path) -> Option<Hundredths> {
        Sensors::new(root).hottest(&mut Buffer::new())
    }

    #[test]
    fn the_hottest_zone_counts() {
        let root = device(&[
            ("thermal/thermal_zone0/temp", "41000\n"),
            ("thermal/thermal_zone1/temp", "52500\n"),
            ("thermal/cooling_device0/temp", "99000\n"),
        ]);
        assert_eq!(hottest_of(root.path()), Some(Hundredths(5250)));
    }

    #[test]
    fn monitors_stand_in_where_no_zone_tells_a_temperature() {
        let root = device(&[
            ("thermal/thermal_zone0/temp", "-273200\n"),
            ("hwmon/hwmon0/temp1_input", "38000\n"),
            ("hwmon/hwmon0/temp1_max", "90000\n"),
            ("hwmon/hwmon1/temp2_input", "39125\n"),
        ]);
        assert_eq!(hottest_of(root.path()), Some(Hundredths(3912)));
    }

    #[test]
    fn a_device_without_sensors_has_no_temperature() {
        assert_eq!(hottest_of(device(&[]).path()), None);
    }

    #[test]
    fn a_sensor_plugged_in_later_is_found_at_the_next_scan() {
        let root = device(&[]);
        let mut sensors = Sensors::new(root.path());
        let mut buffer = Buffer::new();
        assert_eq!(sensors.hottest(&mut buffer), None);
        write(root.path(), "thermal/thermal_zone0/temp", "30000");
        for _ in 1..METRICS_SENSOR_SCAN_READINGS {
            assert_eq!(sensors.hottest(&mut buffer), None);
        }
        assert_eq!(sensors.hottest(&mut buffer), Some(Hundredths(3000)));
    }

    #[test]
    fn sensors_beyond_the_bound_are_not_read() {
        let root = device(&[]);
        for n in 0..METRICS_SENSORS_MAX {
            write(
                root.path(),
                &format!("thermal/thermal_zone{n:03}/temp"),
                "20000",
            );
        }
        let beyond = format!("thermal/thermal_zone{METRICS_SENSORS_MAX:03}/temp");
        write(root.path(), &beyond, "90000");
        assert_eq!(hottest_of(root.path()), Some(Hundredths(2000)));
    }
}
