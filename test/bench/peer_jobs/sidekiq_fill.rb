# sidekiq_fill.rb QUEUE COUNT: pushes that many jobs as a Sidekiq client does.
require_relative "sidekiq_app"

queue, count = ARGV[0], ARGV[1].to_i
(0...count).each_slice(1000) do |some|
  Sidekiq::Client.push_bulk("class" => Noop, "queue" => queue, "args" => some.map { [] })
end
