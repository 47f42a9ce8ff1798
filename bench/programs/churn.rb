# Strings, arrays and hashes that come and go; deterministic.
seed = 7
rnd = ->(n) { seed = (seed * 1103515245 + 12345) & 0x7fffffff; (seed >> 8) % n }
total = 0
table = {}
18.times do |turn|
  rows = Array.new(9000) { |i| { id: i, name: "name#{rnd[5000]}", tags: [rnd[9].to_s, "t" * rnd[80]] } }
  rows.group_by { |r| r[:name][-2..] }.each { |k, v| table["#{k}-#{turn % 4}"] = v.map { |r| r[:tags].join("/") } }
  text = rows.map { |r| r[:name] + ":" + r[:tags].join(",") }.join("\n")
  total += text.split("\n").map { |l| l.split(":") }.sum { |n, t| n.size + t.to_s.size }
end
puts total, table.size
