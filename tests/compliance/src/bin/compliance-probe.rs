//! The program that runs in the containers of the differential suite; see [`compliance::probe`].

fn main() -> Result<(), serde_json::Error> {
    compliance::probe::main()
}
