rows = (0...120000).map { |i| { "n" => i, "text" => "row #{i % 97}" * (1 + i % 5) } }
h = Hash.new(0)
rows.each { |r| h[r["text"]] += r["n"] }
rows.select! { |r| r["n"] % 10 == 0 }
GC.start
require "json"
text = JSON.generate(rows)
puts JSON.parse(text).sum { |r| r["text"].size }, h.size, h.values.max
threads = 8.times.map { |t| Thread.new { (0...2000).map { |i| "t#{t}" * (i % 300) }.sum(&:size) } }
puts threads.map(&:value).inspect
puts IO.popen("echo forked", &:read)
puts Process.wait2(fork { x = (0...50000).map(&:to_s); exit!(x.size == 50000 ? 0 : 1) })[1].exitstatus
