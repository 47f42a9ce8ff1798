use small::{Body, Face, Line, Point, Tree};

fn main() {
    let mut tree = Tree::default();
    for i in 0..200_u64 {
        tree.insert(&format!("{}/{}/{}", i % 3, i % 7, i), i * i);
    }
    println!("{tree}");
    println!("{}", tree.walk().map(|(depth, value)| depth as u64 * value).sum::<u64>());
    let list = vec![("word".to_owned(), 3); 10];
    let point = Point { x: list.clone(), y: list.clone() };
    let line = Line { from: list.clone(), to: list.clone(), ..Line::default() };
    let face = Face { a: list.clone(), ..Face::default() };
    let body = Body { name: list, ..Body::default() };
    println!("{} {} {} {}", point.total(), line.total(), face.total(), body.total());
}
