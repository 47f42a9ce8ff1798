use neap_map::Shm;

fn main() {
    for letters in [255, 256] {
        let name = "x".repeat(letters);
        println!("{letters} letters: {:?}", Shm::named(&name).create(1).map(|_| Shm::unlink(&name)));
    }
    for name in ["", "/", "/.", "/neap/by-hand", "neap-by-hand"] {
        match Shm::named(name).create(1) {
            Ok(_) => println!("{name:?}: success, {:?}", Shm::unlink(name)),
            Err(error) => println!("{name:?}: {error}"),
        }
    }
}
