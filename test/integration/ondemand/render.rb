# Renders the templates of ondemand/ as the portal does: the form's fields are methods where the job is described, `context` where it is written.
# Called with the app's folder and a JSON object of fields; prints a JSON object of the texts.
require "erb"
require "json"
require "ostruct"
require "yaml"

folder, fields = ARGV[0], JSON.parse(ARGV[1])

# What stands for one page of the portal: its names are the fields.
class Page
  def initialize(names)
    names.each { |name, value| define_singleton_method(name) { value } }
  end

  def render(path)
    ERB.new(File.read(path), trim_mode: "-").result(binding)
  end
end

page = Page.new(fields)
session = Page.new("context" => OpenStruct.new(fields))
form = Page.new({}).render(File.join(folder, "form.yml.erb"))
puts JSON.generate(
  "manifest" => YAML.safe_load(File.read(File.join(folder, "manifest.yml"))),
  "form" => YAML.safe_load(form),
  "submit" => YAML.safe_load(page.render(File.join(folder, "submit.yml.erb"))),
  "script" => session.render(File.join(folder, "template", "script.sh.erb")),
  "after" => session.render(File.join(folder, "template", "after.sh.erb")),
  "view" => page.render(File.join(folder, "view.html.erb")),
)
